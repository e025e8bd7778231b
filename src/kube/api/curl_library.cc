#include "src/kube/api/curl_library.h"

#include <type_traits>

namespace railhead::kube {
namespace {

Error missing(std::string message) {
  return Error(ErrorCode::kEnvironment, std::move(message),
               "install libcurl 7.68 or newer (Debian: libcurl4), or leave out what needs the API "
               "server");
}

}  // namespace

Result<std::shared_ptr<CurlLibrary>> CurlLibrary::open() {
  // One interface under several names: OpenSSL (its name up to Debian 12, and from 13), GnuTLS.
  auto library =
      os::DynamicLibrary::open({"libcurl.so.4", "libcurl-gnutls.so.4", "libcurl-openssl.so.4"});
  if (!library.has_value()) return missing(library.error().message);
  std::shared_ptr<CurlLibrary> curl(new CurlLibrary(std::move(*library)));
#define RAILHEAD_CURL_FIND(name)                                                                  \
  curl->name = curl->library_.find<std::remove_pointer_t<decltype(&curl_##name)>>("curl_" #name); \
  if (curl->name == nullptr) {                                                                    \
    return missing(curl->library_.path() + " has no curl_" #name);                                \
  }
  RAILHEAD_CURL_CALLS(RAILHEAD_CURL_FIND)
#undef RAILHEAD_CURL_FIND
  if (curl->global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
    return missing(curl->library_.path() + " does not start");
  curl->initialised_ = true;
  return curl;
}

CurlLibrary::~CurlLibrary() {
  if (initialised_) global_cleanup();
}

}  // namespace railhead::kube
