// The files of the page, built into the program (cmake/railhead_embed.cmake).
#pragma once

#include <span>
#include <string_view>

namespace railhead {

struct EmbeddedFile {
  std::string_view name;  // without folders
  std::string_view content;
};

namespace report {

// page.html, page.css and the scripts, in the order they are joined. Lives as long as the program.
std::span<const EmbeddedFile> pageAssets();

}  // namespace report
}  // namespace railhead
