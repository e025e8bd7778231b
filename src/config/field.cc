#include "src/config/field.h"

#include "src/base/text.h"

#include <algorithm>
#include <set>
#include <sstream>

#include <yaml-cpp/anchor.h>
#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/yaml.h>

namespace railhead::config {

enum class Kind { kNull, kScalar, kList, kMap };

struct Member;

struct Value {
  Kind kind = Kind::kNull;
  int line = 0;
  std::string scalar;
  std::vector<Member> members;  // map entries, or list items with empty keys
  std::string source;           // of the document; on its root only
};

struct Member {
  std::string key;
  Value value;
};

namespace {

Error at(const std::string& source, int line, const std::string& problem) {
  return Error(ErrorCode::kInvalidArgument,
               source + (line > 0 ? ":" + std::to_string(line) : "") + ": " + problem);
}

// Copies yaml-cpp's nodes into our own: plain values, no exceptions afterwards, bounded.
class Copier {
 public:
  explicit Copier(const std::string& source) : source_(source) {}

  Result<Value> copy(const YAML::Node& node, int depth) {
    Value value;
    value.line = node.Mark().line + 1;
    if (depth > kMaxDepth) {
      return at(source_, value.line, "nested deeper than " + std::to_string(kMaxDepth) + " levels");
    }
    if (++count_ > kMaxValues) {
      return at(source_, value.line, "more than " + std::to_string(kMaxValues) + " values");
    }
    if (node.IsScalar()) {
      value.kind = Kind::kScalar;
      value.scalar = node.Scalar();
    } else if (node.IsSequence()) {
      value.kind = Kind::kList;
      for (const auto& item : node) {
        RAILHEAD_TRY_ASSIGN(Value copied, copy(item, depth + 1));
        value.members.push_back({"", std::move(copied)});
      }
    } else if (node.IsMap()) {
      value.kind = Kind::kMap;
      for (const auto& entry : node) {
        if (!entry.first.IsScalar())
          return at(source_, entry.first.Mark().line + 1, "a key must be a word");
        RAILHEAD_TRY_ASSIGN(Value copied, copy(entry.second, depth + 1));
        if (copied.kind == Kind::kNull) copied.line = entry.first.Mark().line + 1;
        value.members.push_back({entry.first.Scalar(), std::move(copied)});
      }
    }
    return value;
  }

 private:
  const std::string& source_;
  std::size_t count_ = 0;
};

// Notes where documents begin.
class DocumentStarts final : public YAML::EventHandler {
 public:
  const std::vector<int>& lines() const { return lines_; }  // from 1

  void OnDocumentStart(const YAML::Mark& mark) override { lines_.push_back(mark.line + 1); }
  void OnDocumentEnd() override {}
  void OnNull(const YAML::Mark&, YAML::anchor_t) override {}
  void OnAlias(const YAML::Mark&, YAML::anchor_t) override {}
  void OnScalar(const YAML::Mark&, const std::string&, YAML::anchor_t,
                const std::string&) override {}
  void OnSequenceStart(const YAML::Mark&, const std::string&, YAML::anchor_t,
                       YAML::EmitterStyle::value) override {}
  void OnSequenceEnd() override {}
  void OnMapStart(const YAML::Mark&, const std::string&, YAML::anchor_t,
                  YAML::EmitterStyle::value) override {}
  void OnMapEnd() override {}

 private:
  std::vector<int> lines_;
};

// At most two are looked for: yaml-cpp takes some broken texts for documents without end, and its
// LoadAll() fills the memory with them.
std::vector<int> documentLines(const std::string& text) {
  std::istringstream stream(text);
  YAML::Parser parser(stream);
  DocumentStarts starts;
  while (starts.lines().size() < 2 && parser.HandleNextDocument(starts)) {
  }
  return starts.lines();
}

}  // namespace

Field::Field(std::shared_ptr<const Value> document, const Value* value, std::string path, int line)
    : document_(std::move(document)),
      value_(value != nullptr && value->kind != Kind::kNull ? value : nullptr),
      path_(std::move(path)),
      line_(line) {}

Result<Field> Field::parse(std::string_view text, const std::string& source) {
  if (text.size() > kMaxBytes) {
    return at(
        source, 0,
        "has " + std::to_string(text.size()) + " bytes; allowed: " + std::to_string(kMaxBytes));
  }
  auto document = std::make_shared<Value>();
  try {
    const std::string whole(text);
    const auto documents = documentLines(whole);
    if (documents.size() > 1)
      return at(source, documents[1], "begins a second document; allowed: one in a file");
    if (!documents.empty()) {
      RAILHEAD_TRY_ASSIGN(*document, Copier(source).copy(YAML::Load(whole), 0));
    }
  } catch (const YAML::Exception& error) {
    return at(source, error.mark.line + 1, "is not YAML: " + error.msg);
  }
  document->source = source;
  const Value* root = document.get();
  return Field(std::move(document), root, "", root->line);
}

int Field::line() const { return line_; }

std::string Field::shown() const {
  if (value_ == nullptr) return "missing";
  if (value_->kind == Kind::kScalar) return inQuotes(value_->scalar);
  return value_->kind == Kind::kList ? "a list" : "a map";
}

Error Field::complain(std::string_view problem) const {
  return at(document_->source, line_,
            (path_.empty() ? "the document" : path_) + " " + std::string(problem));
}

Error Field::complainAllowed(std::string_view allowed) const {
  return complain("is " + shown() + "; allowed: " + std::string(allowed));
}

bool Field::isMap() const { return value_ != nullptr && value_->kind == Kind::kMap; }
bool Field::isList() const { return value_ != nullptr && value_->kind == Kind::kList; }
bool Field::isScalar() const { return value_ != nullptr && value_->kind == Kind::kScalar; }

Result<void> Field::checkKeys(const std::vector<std::string>& allowed) const {
  if (!isMap()) return complainAllowed("a map of " + join(allowed, ", "));
  std::set<std::string> seen;
  for (const auto& [key, member] : value_->members) {
    const Field entry(document_, &member, path_.empty() ? key : path_ + "." + key, member.line);
    if (std::find(allowed.begin(), allowed.end(), key) == allowed.end()) {
      return entry.complain("is unknown; allowed: " + join(allowed, ", "));
    }
    if (!seen.insert(key).second) return entry.complain("is given twice");
  }
  return {};
}

Field Field::child(std::string_view key) const {
  std::string path = path_.empty() ? std::string(key) : path_ + "." + std::string(key);
  if (isMap()) {
    for (const auto& [name, member] : value_->members) {
      if (name == key) return Field(document_, &member, std::move(path), member.line);
    }
  }
  return Field(document_, nullptr, std::move(path), line_);
}

Field Field::nearest(std::string_view path) const {
  Field here = *this;
  while (!path.empty()) {
    Field next = here;
    if (path.front() == '[') {
      const auto index = parseUnsigned(path.substr(1, path.find(']') - 1));
      if (!here.isList() || !index || *index >= here.value_->members.size()) return here;
      next = here.item(*index);
      path.remove_prefix(std::min(path.size(), path.find(']') + 1));
    } else {
      const auto end = std::min(path.size(), path.find_first_of(".["));
      next = here.child(path.substr(0, end));
      path.remove_prefix(end);
    }
    if (!next.present()) return here;
    here = std::move(next);
    if (path.starts_with(".")) path.remove_prefix(1);
  }
  return here;
}

Field Field::item(std::size_t index) const {
  const Value& member = value_->members[index].value;
  return Field(document_, &member, path_ + "[" + std::to_string(index) + "]", member.line);
}

Result<Field> Field::required(std::string_view key, std::string_view allowed) const {
  Field found = child(key);
  if (!found.present()) return found.complain("is missing; allowed: " + std::string(allowed));
  return found;
}

std::vector<std::string> Field::keys() const {
  std::vector<std::string> names;
  if (isMap()) {
    for (const auto& [name, member] : value_->members) names.push_back(name);
  }
  return names;
}

Result<std::vector<Field>> Field::list(std::size_t least, std::size_t most) const {
  const std::string allowed =
      "a list of " + std::to_string(least) + " to " + std::to_string(most) + " entries";
  if (!isList()) return complainAllowed(allowed);
  const std::size_t size = value_->members.size();
  if (size < least || size > most) {
    return complain("has " + std::to_string(size) + " entries; allowed: " + allowed);
  }
  std::vector<Field> entries;
  for (std::size_t i = 0; i < size; ++i) entries.push_back(item(i));
  return entries;
}

Result<std::string> Field::text(std::string_view allowed, std::size_t maxLength) const {
  if (!isScalar()) return complainAllowed(allowed);
  if (value_->scalar.empty() || value_->scalar.size() > maxLength) {
    return complainAllowed(std::string(allowed) + " (1 to " + std::to_string(maxLength) +
                           " characters)");
  }
  return value_->scalar;
}

Result<std::string> Field::word(std::size_t most, std::string_view extra) const {
  const std::string allowed = "1 to " + std::to_string(most) + " letters, digits and any of " +
                              inQuotes(extra) + ", starting with a letter or digit";
  if (!isScalar()) return complainAllowed(allowed);
  const auto plain = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
  };
  const std::string& text = value_->scalar;
  const bool good = !text.empty() && text.size() <= most && plain(text.front()) &&
                    std::all_of(text.begin(), text.end(), [&](char c) {
                      return plain(c) || extra.find(c) != std::string_view::npos;
                    });
  if (!good) return complainAllowed(allowed);
  return text;
}

Result<std::uint64_t> Field::number(std::uint64_t least, std::uint64_t most,
                                    std::string_view unit) const {
  const std::string allowed = "a whole number from " + std::to_string(least) + " to " +
                              std::to_string(most) +
                              (unit.empty() ? "" : " (" + std::string(unit) + ")");
  if (!isScalar()) return complainAllowed(allowed);
  const auto parsed = parseUnsigned(value_->scalar);
  if (!parsed || *parsed < least || *parsed > most) return complainAllowed(allowed);
  return *parsed;
}

Result<bool> Field::flag() const {
  if (isScalar() && value_->scalar == "true") return true;
  if (isScalar() && value_->scalar == "false") return false;
  return complainAllowed("true, false");
}

Result<std::vector<std::string>> Field::texts(std::string_view allowed, std::size_t most) const {
  RAILHEAD_TRY_ASSIGN(const auto entries, list(1, most));
  std::vector<std::string> words;
  for (const auto& entry : entries) {
    RAILHEAD_TRY_ASSIGN(std::string word, entry.text(allowed));
    words.push_back(std::move(word));
  }
  return words;
}

}  // namespace railhead::config
