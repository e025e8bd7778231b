#include "src/os/dynamic_library.h"

#include <utility>

#include <dlfcn.h>
#include <link.h>

namespace railhead::os {

Result<DynamicLibrary> DynamicLibrary::open(const std::vector<std::string>& names, Unload unload) {
  const int flags = RTLD_NOW | RTLD_LOCAL | (unload == Unload::kNever ? RTLD_NODELETE : 0);
  std::string tried;
  for (const auto& name : names) {
    if (void* handle = ::dlopen(name.c_str(), flags)) return DynamicLibrary(handle);
    const char* reason = ::dlerror();  // NOLINT(concurrency-mt-unsafe): per thread in glibc
    tried += (tried.empty() ? "" : "; ") + std::string(reason != nullptr ? reason : name.c_str());
  }
  return Error(ErrorCode::kNotFound, "load shared library: " + tried);
}

DynamicLibrary::DynamicLibrary(DynamicLibrary&& other) noexcept
    : handle_(std::exchange(other.handle_, nullptr)) {}

DynamicLibrary& DynamicLibrary::operator=(DynamicLibrary&& other) noexcept {
  std::swap(handle_, other.handle_);
  return *this;
}

DynamicLibrary::~DynamicLibrary() {
  if (handle_ != nullptr) ::dlclose(handle_);
}

void* DynamicLibrary::address(const char* symbol) const { return ::dlsym(handle_, symbol); }

std::string DynamicLibrary::path() const {
  link_map* map = nullptr;
  if (handle_ == nullptr || ::dlinfo(handle_, RTLD_DI_LINKMAP, &map) != 0 || map == nullptr)
    return {};
  return map->l_name;
}

}  // namespace railhead::os
