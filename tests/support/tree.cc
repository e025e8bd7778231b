#include "tests/support/tree.h"

#include "src/base/text.h"

#include <filesystem>
#include <fstream>
#include <sstream>
#include <system_error>

namespace railhead::testing_support {
namespace {

std::string unescaped(std::string_view text) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const auto byte = text.substr(i, 2) == "\\x" ? parseHex(text.substr(i + 2, 2))
                                                 : std::optional<std::uint64_t>();
    out += byte ? static_cast<char>(*byte) : text[i];
    if (byte) i += 3;
  }
  return out;
}

Error wrongLine(std::size_t number, std::string_view line) {
  return {ErrorCode::kCorrupt, "tree line " + std::to_string(number) + " " + inQuotes(line) +
                                   ": expected 'PATH = CONTENT' or 'PATH -> TARGET'"};
}

}  // namespace

Result<std::vector<TreeEntry>> parseTree(std::string_view text) {
  std::vector<TreeEntry> tree;
  std::size_t number = 0;
  for (const std::string_view line : split(text, '\n')) {
    ++number;
    if (line.empty() || line.starts_with('#')) continue;
    const auto space = line.find(' ');
    const std::string_view rest = space == std::string_view::npos ? "" : line.substr(space);
    if (!line.starts_with('/')) return wrongLine(number, line);
    TreeEntry entry{unescaped(line.substr(0, space)), rest.starts_with(" -> "), ""};
    if (entry.isLink) {
      entry.content = unescaped(rest.substr(4));
    } else if (rest == " =" || rest.starts_with(" = ")) {
      entry.content = unescaped(rest.substr(rest.size() < 3 ? 2 : 3)) + "\n";
    } else {
      return wrongLine(number, line);
    }
    tree.push_back(std::move(entry));
  }
  return tree;
}

Result<std::vector<TreeEntry>> readTree(const std::string& name) {
  const std::string path = "tests/fixtures/trees/" + name + ".tree";
  std::ifstream in(path);
  if (!in) return Error(ErrorCode::kNotFound, "open " + path);
  std::ostringstream text;
  text << in.rdbuf();
  return parseTree(text.str()).addContext(path);
}

void putTree(const std::vector<TreeEntry>& tree, MemoryFilesystem& files) {
  for (const TreeEntry& entry : tree) {
    if (entry.isLink) {
      files.putLink(entry.path, entry.content);
    } else {
      files.put(entry.path, entry.content);
    }
  }
}

Result<void> writeTree(const std::vector<TreeEntry>& tree, const std::string& root) {
  for (const TreeEntry& entry : tree) {
    const std::filesystem::path path = root + entry.path;
    std::error_code failure;
    std::filesystem::create_directories(path.parent_path(), failure);
    if (!failure && entry.isLink) std::filesystem::create_symlink(entry.content, path, failure);
    if (failure) return Error(ErrorCode::kIo, "make " + path.string() + ": " + failure.message());
    if (entry.isLink) continue;
    std::ofstream out(path);
    out << entry.content;
    if (!out) return Error(ErrorCode::kIo, "write " + path.string());
  }
  return {};
}

}  // namespace railhead::testing_support
