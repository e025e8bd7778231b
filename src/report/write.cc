#include "src/report/write.h"

#include "src/report/html/html.h"
#include "src/report/model/json.h"

namespace railhead::report {

Result<std::vector<std::string>> writeReport(os::Filesystem& files, const std::string& directory,
                                             const Report& report) {
  RAILHEAD_TRY(files.makeDirectories(directory).addContext("write the report"));
  const std::string json = directory + "/report.json";
  const std::string html = directory + "/report.html";
  RAILHEAD_TRY(files.replaceFile(json, toJson(report)).addContext("write the report"));
  RAILHEAD_TRY(files.replaceFile(html, toHtml(report)).addContext("write the report"));
  return std::vector<std::string>{json, html};
}

}  // namespace railhead::report
