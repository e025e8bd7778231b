#include "src/base/error.h"

#include <cerrno>
#include <cstring>

namespace railhead {

std::string_view errorCodeName(ErrorCode code) {
  switch (code) {
    case ErrorCode::kInvalidArgument:
      return "invalid-argument";
    case ErrorCode::kNotFound:
      return "not-found";
    case ErrorCode::kAlreadyExists:
      return "already-exists";
    case ErrorCode::kBusy:
      return "busy";
    case ErrorCode::kPermissionDenied:
      return "permission-denied";
    case ErrorCode::kUnavailable:
      return "unavailable";
    case ErrorCode::kDeadlineExceeded:
      return "deadline-exceeded";
    case ErrorCode::kUnsupported:
      return "unsupported";
    case ErrorCode::kExhausted:
      return "exhausted";
    case ErrorCode::kCorrupt:
      return "corrupt";
    case ErrorCode::kCheckFailed:
      return "check-failed";
    case ErrorCode::kEnvironment:
      return "environment";
    case ErrorCode::kIo:
      return "io";
    case ErrorCode::kInternal:
      return "internal";
  }
  return "internal";
}

namespace {

ErrorCode classOfErrno(int value) {
  switch (value) {
    case ENOENT:
    case ENODEV:
    case ENXIO:
    case ESRCH:
      return ErrorCode::kNotFound;
    case EEXIST:
      return ErrorCode::kAlreadyExists;
    case EBUSY:
    case ETXTBSY:
      return ErrorCode::kBusy;
    case EPERM:
    case EACCES:
    case EROFS:
      return ErrorCode::kPermissionDenied;
    case ECONNREFUSED:
    case ECONNRESET:
    case EPIPE:
    case ENOTCONN:
    case EAGAIN:
      return ErrorCode::kUnavailable;
    case ETIMEDOUT:
      return ErrorCode::kDeadlineExceeded;
    case EOPNOTSUPP:
    case ENOSYS:
    case EAFNOSUPPORT:
      return ErrorCode::kUnsupported;
    case ENOSPC:
    case ENOMEM:
    case EMFILE:
    case ENFILE:
    case EDQUOT:
      return ErrorCode::kExhausted;
    case EINVAL:
    case ENAMETOOLONG:
      return ErrorCode::kInvalidArgument;
    default:
      return ErrorCode::kIo;
  }
}

}  // namespace

Error Error::fromErrno(int errnoValue, std::string_view what) {
  Error error(classOfErrno(errnoValue), std::string(what) + ": " + std::strerror(errnoValue));
  error.errnoValue = errnoValue;
  return error;
}

Error& Error::addContext(std::string_view where) & {
  message.insert(0, std::string(where) + ": ");
  return *this;
}

Error Error::addContext(std::string_view where) && { return std::move(addContext(where)); }

Error& Error::withRemedy(std::string_view text) & {
  remedy = text;
  return *this;
}

Error Error::withRemedy(std::string_view text) && { return std::move(withRemedy(text)); }

std::string Error::describe() const {
  return remedy.empty() ? message : message + " (remedy: " + remedy + ")";
}

ExitCode exitCodeFor(ErrorCode code) {
  switch (code) {
    case ErrorCode::kInvalidArgument:
      return ExitCode::kUsage;
    case ErrorCode::kCheckFailed:
      return ExitCode::kCheckFailed;
    case ErrorCode::kEnvironment:
    case ErrorCode::kUnsupported:
    case ErrorCode::kPermissionDenied:
      return ExitCode::kEnvironment;
    default:
      return ExitCode::kFailed;
  }
}

}  // namespace railhead
