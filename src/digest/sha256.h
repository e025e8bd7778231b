// SHA-256, for hashes that name a file's content. No I/O. A Sha256 is thread-compatible.
#pragma once

#include <memory>
#include <string>
#include <string_view>

namespace railhead::digest {

// 64 lower-case hexadecimal digits.
std::string sha256Hex(std::string_view bytes);

// The same over bytes that arrive in parts.
class Sha256 {
 public:
  Sha256();
  ~Sha256();
  Sha256(Sha256&&) noexcept;
  Sha256& operator=(Sha256&&) noexcept;

  void add(std::string_view bytes);
  // Of everything added so far; more may be added afterwards.
  std::string hex() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace railhead::digest
