// From a call of the shim to an operation of the Attacher and back to what stdout gets.
#include "src/attach/attacher.h"
#include "src/attach/request.h"
#include "src/attach/server.h"

namespace railhead::attach {
namespace {

cni::Reply refused(const cni::CniError& error, const std::string& version) {
  return {1, cni::encodeError(error, version)};
}

// GC carries on past a failure and reports it at the end.
Result<void> outcomeOf(const Result<SweepReport>& report) {
  if (!report.has_value()) return report.error();
  if (report->failed.empty()) return {};
  Error error = report->failed.front();
  if (report->failed.size() > 1)
    error.message += " (and " + std::to_string(report->failed.size() - 1) + " more)";
  return error;
}

Result<std::string> carryOut(Attacher& attacher, const CniRequest& request) {
  const auto silent = [](Result<void> done) {
    return done.has_value() ? Result<std::string>(std::string()) : std::move(done).error();
  };
  switch (request.command) {
    case CniCommand::kAdd:
      return attacher.add(request);
    case CniCommand::kDel:
      return silent(attacher.del(request));
    case CniCommand::kCheck:
      return silent(attacher.check(request));
    case CniCommand::kGc:
      return silent(outcomeOf(attacher.gc(request)));
    case CniCommand::kStatus:
      return silent(attacher.status(request));
  }
  return Error(ErrorCode::kInternal, "unknown command");
}

std::string subject(const CniRequest& request) {
  std::string text(cniCommandName(request.command));
  if (!request.pod.name.empty()) text += " pod " + request.pod.toString();
  if (!request.id.containerId.empty()) text += " sandbox " + request.id.toString();
  return text;
}

}  // namespace

CniHandler makeCniHandler(Attacher& attacher, RequestLog log) {
  return [&attacher, log = std::move(log)](const cni::Call& call) -> cni::Reply {
    const auto request = parseRequest(call);
    if (!request.has_value()) {
      if (log) log(true, call.command + ": " + request.error().error.message);
      return refused(request.error().error, request.error().cniVersion);
    }
    auto done = carryOut(attacher, *request);
    if (!done.has_value()) {
      if (log) log(true, subject(*request) + ": " + done.error().describe());
      cni::CniError error = cni::errorFrom(done.error());
      if (request->command == CniCommand::kStatus) error.code = cni::kNotAvailable;
      return refused(error, request->cniVersion);
    }
    if (log) log(false, subject(*request) + ": done");
    return {0, std::move(*done)};
  };
}

}  // namespace railhead::attach
