// A shared library loaded at run time (NVML, CUDA, NCCL): absent ones are a state, not a crash.
#pragma once

#include "src/base/result.h"

#include <string>
#include <vector>

namespace railhead::os {

// kNever: for libraries whose own threads may outlive their last caller (CUDA, NCCL).
enum class Unload { kWithLastOwner, kNever };

class DynamicLibrary {
 public:
  // Tries each name in turn; kNotFound lists what was tried and what the loader said.
  static Result<DynamicLibrary> open(const std::vector<std::string>& names,
                                     Unload unload = Unload::kWithLastOwner);
  DynamicLibrary(DynamicLibrary&& other) noexcept;
  DynamicLibrary& operator=(DynamicLibrary&& other) noexcept;
  ~DynamicLibrary();

  // The function's address as a typed pointer; nullptr when the library lacks it.
  template <typename Function>
  Function* find(const char* symbol) const {
    return reinterpret_cast<Function*>(address(symbol));
  }
  std::string path() const;  // the file that was really loaded

 private:
  explicit DynamicLibrary(void* handle) : handle_(handle) {}
  void* address(const char* symbol) const;
  void* handle_ = nullptr;
};

}  // namespace railhead::os
