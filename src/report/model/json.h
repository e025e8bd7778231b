// A Report as JSON text and back. Pure functions; thread-safe.
#pragma once

#include "src/base/result.h"
#include "src/report/model/report.h"

#include <string>
#include <string_view>
#include <vector>

namespace railhead::report {

// Indented, every field present, in the order of docs/reference/report.md, newline at the end.
// Bytes that are not UTF-8 become U+FFFD; a figure that is not finite becomes null (0 where the
// schema wants a number).
std::string toJson(const Report& report);

// The reverse. The text is untrusted: at most 8 MiB, 64 KiB a string, 4096 entries a list. Every
// field of the schema must be there with its type; fields this version does not know are passed
// over. kInvalidArgument names the field, its value and what is allowed.
Result<Report> fromJson(std::string_view text);

struct SchemaField {
  std::string path;  // "nodes[].pfs[].mtu"
  std::string type;  // string, integer, number, "number or null", boolean, "list of strings", ...

  bool operator==(const SchemaField&) const = default;
};

// Every leaf of the document, in its order. docs/reference/report.md is held against this.
std::vector<SchemaField> schemaFields();

}  // namespace railhead::report
