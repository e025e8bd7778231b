#include "src/agent/probes.h"

#include "src/json/json.h"

#include <nlohmann/json.hpp>

namespace railhead::agent {

std::string encodeProbeState(const ProbeState& state) {
  return json::dump({{"notLive", state.notLive}, {"notReady", state.notReady}});
}

Result<ProbeState> decodeProbeState(std::string_view text) {
  ProbeState state;
  RAILHEAD_TRY_ASSIGN(const json::Value json, json::parseObject(text, "the probe's answer"));
  RAILHEAD_TRY_ASSIGN(state.notLive, json::textMember(json, "notLive", 4096));
  RAILHEAD_TRY_ASSIGN(state.notReady, json::textMember(json, "notReady", 4096));
  return state;
}

Result<std::unique_ptr<StatusServer>> serveProbes(const std::string& path,
                                                  std::function<ProbeState()> look) {
  return StatusServer::start(path, [look = std::move(look)] { return encodeProbeState(look()); });
}

Result<ProbeState> askProbes(const std::string& path) {
  RAILHEAD_TRY_ASSIGN(const std::string text, askAt(path));
  return decodeProbeState(text);
}

}  // namespace railhead::agent
