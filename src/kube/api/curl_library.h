// libcurl, loaded at run time: an agent that needs no API server pays nothing for it (linked, it
// and the 30 libraries behind it cost 6 MiB of memory). Private to src/kube/api.
#pragma once

#include "src/base/result.h"
#include "src/os/dynamic_library.h"

#include <memory>

#include <curl/curl.h>

namespace railhead::kube {

// The calls in use, under their own names without "curl_".
#define RAILHEAD_CURL_CALLS(X)                                                                   \
  X(global_init)                                                                                 \
  X(global_cleanup)                                                                              \
  X(easy_init)                                                                                   \
  X(easy_cleanup)                                                                                \
  X(easy_reset)                                                                                  \
  X(easy_setopt)                                                                                 \
  X(easy_getinfo) X(easy_strerror) X(slist_append) X(slist_free_all) X(multi_init)               \
      X(multi_cleanup) X(multi_add_handle) X(multi_remove_handle) X(multi_perform) X(multi_poll) \
          X(multi_info_read) X(multi_strerror)

// Thread-safe once open.
class CurlLibrary {
 public:
  // kEnvironment: there is none, or it is older than 7.68.
  static Result<std::shared_ptr<CurlLibrary>> open();
  ~CurlLibrary();
  CurlLibrary(const CurlLibrary&) = delete;
  CurlLibrary& operator=(const CurlLibrary&) = delete;

#define RAILHEAD_CURL_MEMBER(name) decltype(&curl_##name) name = nullptr;
  RAILHEAD_CURL_CALLS(RAILHEAD_CURL_MEMBER)
#undef RAILHEAD_CURL_MEMBER

 private:
  explicit CurlLibrary(os::DynamicLibrary library) : library_(std::move(library)) {}
  os::DynamicLibrary library_;
  bool initialised_ = false;
};

}  // namespace railhead::kube
