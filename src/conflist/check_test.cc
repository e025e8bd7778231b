#include "src/conflist/check.h"

#include "tests/support/memory_filesystem.h"

#include <cerrno>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

namespace railhead::conflist {
namespace {

using nlohmann::json;
using testing::HasSubstr;

constexpr const char* kChain = R"({"cniVersion":"1.0.0","name":"a","plugins":[{"type":"a-cni"},
    {"type":"railhead","capabilities":{"io.kubernetes.cri.pod-annotations":true}}]})";

// Whose paths below some are not for us to see.
class ForbiddingFilesystem : public testing_support::MemoryFilesystem {
 public:
  void forbid(const std::string& below) { below_ = below; }
  Result<std::string> readFile(const std::string& path, std::size_t maxBytes) override {
    RAILHEAD_TRY(look("open " + path, path));
    return MemoryFilesystem::readFile(path, maxBytes);
  }
  Result<std::vector<std::string>> listDirectory(const std::string& path) override {
    RAILHEAD_TRY(look("list " + path, path));
    return MemoryFilesystem::listDirectory(path);
  }
  Result<os::FileStatus> status(const std::string& path) override {
    RAILHEAD_TRY(look("stat " + path, path));
    return MemoryFilesystem::status(path);
  }

 private:
  Result<void> look(const std::string& what, const std::string& path) const {
    if (below_.empty() || !path.starts_with(below_)) return {};
    return Error::fromErrno(EACCES, what);
  }
  std::string below_;
};

class CheckCni : public testing::Test {
 protected:
  CheckCni() {
    files_.put("/net.d/00-railhead.conflist", kChain);
    files_.put("/net.d/10-a.conflist", R"({"cniVersion":"1.0.0","name":"a",
        "plugins":[{"type":"a-cni"}]})");
    files_.put("/bin/a-cni", "x");
    files_.put("/bin/railhead", "x");
    files_.put("/run/cni.sock", "");
  }
  CheckReport check(const std::string& programs = "/bin") {
    return checkCni(files_, {"/net.d", programs, "00-railhead.conflist", "/run/cni.sock"});
  }
  // The one thing that keeps pods from their networks.
  std::string problem() { return problemOf(check()); }
  static std::string problemOf(const CheckReport& report) {
    EXPECT_FALSE(report.callsUs());
    std::string found;
    for (const auto& finding : report.findings) {
      if (finding.fails) found += finding.what + " | " + finding.remedy + "\n";
    }
    return found;
  }
  ForbiddingFilesystem files_;
};

TEST_F(CheckCni, SaysThatAllIsWell) {
  const auto report = check();
  EXPECT_TRUE(report.callsUs());
  EXPECT_TRUE(report.findings.empty());
  const std::string text = describe(report);
  EXPECT_THAT(text, HasSubstr("  00-railhead.conflist  (in use)\n      network 'a', version 1.0.0: "
                              "a-cni -> railhead\n"));
  EXPECT_THAT(text, HasSubstr("Pods that ask for networks get them from railhead."));
  const json read = json::parse(toJson(report), nullptr, false);
  EXPECT_EQ(read["works"], true);
  EXPECT_EQ(read["files"][0]["inUse"], true);
  EXPECT_EQ(read["files"][1]["plugins"], json::parse(R"(["a-cni"])"));
  EXPECT_EQ(read["programs"][1]["type"], "railhead");
}

TEST_F(CheckCni, EachFaultIsNamedWithItsRemedy) {
  files_.erase("/run/cni.sock");
  EXPECT_EQ(problem(),
            "no agent answers at /run/cni.sock: pods with networks have to wait | start "
            "railhead-agent\n");
  files_.put("/run/cni.sock", "");
  files_.erase("/bin/a-cni");
  EXPECT_EQ(problem(),
            "a-cni is missing in /bin, and 00-railhead.conflist names it | install the primary "
            "network's programs; if the runtime has several folders of them, name all: --cni-bin "
            "A:B\n");
  files_.put("/other/a-cni", "x");
  EXPECT_TRUE(check("/bin:/other").callsUs());
  files_.put("/bin/a-cni", "x");
  files_.put("/net.d/00-a.conf", "{");
  EXPECT_THAT(problem(), HasSubstr("00-a.conf: it is not valid JSON"));
  files_.put("/net.d/00-a.conf", R"({"name":"x","type":"a-cni"})");
  EXPECT_THAT(problem(), HasSubstr("the runtime uses 00-a.conf, which does not call railhead | "
                                   "set cni.file to a name that sorts before 00-a.conf"));
  files_.erase("/net.d");
  EXPECT_THAT(problem(), HasSubstr("/net.d"));
}

TEST_F(CheckCni, WhatItMayNotSeeIsNotSaidToBeMissing) {
  constexpr const char* kRemedy = " | run check-cni as root, or as who may read it\n";
  files_.forbid("/net.d");
  EXPECT_EQ(problem(), std::string("list /net.d: Permission denied") + kRemedy);
  EXPECT_TRUE(check().cannotTell());
  EXPECT_THAT(describe(check()), HasSubstr("order:\n  not to be seen\n"));
  files_.forbid("/net.d/00-railhead.conflist");
  EXPECT_EQ(
      problem(),
      std::string("00-railhead.conflist: open /net.d/00-railhead.conflist: Permission denied") +
          kRemedy);
  EXPECT_THAT(describe(check()), HasSubstr("(in use)\n      not to be seen: open /net.d/00-"));
  files_.forbid("/bin/");
  files_.put("/other/a-cni", "x");
  EXPECT_EQ(problemOf(check("/bin:/other")),
            std::string("whether railhead is in /bin cannot be seen: permission denied; "
                        "00-railhead.conflist names it") +
                kRemedy);
  files_.forbid("/run");
  EXPECT_EQ(problem(),
            std::string("whether an agent answers cannot be seen: stat /run/cni.sock: Permission "
                        "denied") +
                kRemedy);
}

TEST_F(CheckCni, AProgramIsThereOrMissingOrNotToBeSeen) {
  files_.forbid("/bin/");
  files_.put("/other/a-cni", "x");
  auto report = check("/bin:/other");
  EXPECT_TRUE(report.cannotTell());
  EXPECT_THAT(describe(report), HasSubstr("  a-cni\n  railhead  not to be seen\n"));
  EXPECT_THAT(describe(report), HasSubstr("\nWhether pods that ask for networks get them from "
                                          "railhead cannot be seen.\n"));
  json read = json::parse(toJson(report), nullptr, false);
  EXPECT_EQ(read["programs"],
            json::parse(R"([{"type":"a-cni","present":true},{"type":"railhead","present":null}])"));
  EXPECT_EQ(read["works"], nullptr);

  // One thing that is known to be wrong is enough to say that it does not work.
  files_.erase("/run/cni.sock");
  EXPECT_FALSE(check("/bin:/other").cannotTell());
  EXPECT_EQ(json::parse(toJson(check("/bin:/other")), nullptr, false)["works"], false);

  files_.forbid("");
  files_.put("/run/cni.sock", "");
  files_.erase("/bin/railhead");
  report = check();
  EXPECT_FALSE(report.cannotTell());
  EXPECT_THAT(describe(report), HasSubstr("  a-cni\n  railhead  MISSING\n"));
  EXPECT_THAT(describe(report), HasSubstr("\nPods that ask for networks do not get them.\n"));
  read = json::parse(toJson(report), nullptr, false);
  EXPECT_EQ(read["programs"][1]["present"], false);
}

TEST_F(CheckCni, SeesThatCiliumTookTheFileAway) {
  files_.erase("/net.d/00-railhead.conflist");
  files_.put("/net.d/00-railhead.conflist.cilium_bak", kChain);
  EXPECT_THAT(problem(), HasSubstr("set cni.exclusive=false"));
}

TEST_F(CheckCni, WhatCiliumOnceTookAwayIsOnlyWorthKnowing) {
  files_.put("/net.d/00-railhead.conflist.cilium_bak", kChain);
  const auto report = check();
  EXPECT_TRUE(report.callsUs());
  ASSERT_EQ(report.findings.size(), 1U);
  EXPECT_THAT(report.findings[0].remedy, HasSubstr("remove 00-railhead.conflist.cilium_bak"));
}

TEST_F(CheckCni, SeesAChainWithoutAnnotations) {
  files_.put("/net.d/00-railhead.conflist",
             R"({"name":"a","plugins":[{"type":"a-cni"},{"type":"railhead"}]})");
  EXPECT_THAT(problem(), HasSubstr("does not hand pod annotations to railhead"));
}

TEST_F(CheckCni, KnowsThatMultusCallsUs) {
  files_.erase("/net.d/00-railhead.conflist");
  files_.put("/net.d/00-multus.conf", R"({"name":"m","type":"multus"})");
  files_.put("/bin/multus", "x");
  const auto report = check();
  EXPECT_TRUE(report.callsUs());
  ASSERT_EQ(report.findings.size(), 1U);
  EXPECT_THAT(report.findings[0].what, HasSubstr("for networks of type railhead"));
  files_.put("/net.d/00-multus.conf",
             R"({"name":"m","type":"multus","clusterNetwork":"/host/net.d/00-railhead.conflist"})");
  EXPECT_THAT(problem(), HasSubstr("which is not there: every pod fails | restart Multus"));
  files_.put("/net.d/00-railhead.conflist", kChain);
  EXPECT_TRUE(check().callsUs());
}

}  // namespace
}  // namespace railhead::conflist
