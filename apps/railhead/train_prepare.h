// What is looked at, checked and written down before a run starts.
#pragma once

#include "apps/railhead/command_line.h"
#include "apps/railhead/train_place.h"
#include "src/launch/placement.h"
#include "src/os/filesystem.h"
#include "src/train/manifest.h"
#include "src/train/run_file.h"
#include "src/train/run_folder.h"

#include <map>
#include <string>

namespace railhead::app {

// A run file as it was read.
struct ReadRunFile {
  std::string path;    // absolute
  std::string folder;  // the command runs there, and paths start there
  std::string text;
  train::RunFile run;
};
Result<ReadRunFile> readRunFile(const std::string& path);

// The manifest of a run that is to start. kCheckFailed: the data are not those that the run file
// says; it names the field, both digests and what to do. kNotFound: they are not there.
Result<train::Manifest> newManifest(const ReadRunFile& file, const launch::Placement& placement);

// The run file that a run began with. kCheckFailed: it is not that any more.
Result<ReadRunFile> readOwnRunFile(const train::RunFolder& folder, const train::Manifest& manifest);

// Revision and scripts as they are now.
train::Code codeOf(const std::string& folder, const std::vector<std::string>& command);
// The first script that is not what the manifest says; empty: none.
std::string changedScript(const train::Code& then, const train::Code& now);

// What a profile needs to be read, before anything is made. Nothing where the run has none.
Result<void> checkProfile(const ReadRunFile& file);

// As far as it is known before the ranks tell.
train::Place placeOf(const train::RunFile& run, const launch::Placement& placement);

// Of a run that goes on or is run again: the data are what they were.
Result<void> checkData(const train::Manifest& manifest, const std::string& folder);

// The profile's settings: its files are put into the run's folder. The variables, without that of
// the tuner plugin, which each node has at a place of its own; and its hash into the manifest.
Result<std::map<std::string, std::string>> applyRunProfile(const ReadRunFile& file,
                                                           const train::RunFolder& folder,
                                                           os::Filesystem& files,
                                                           train::Manifest& manifest);

// `railhead verify` on the ranks' places, in pods of the image that RAILHEAD_IMAGE names.
// kInvalidArgument: it names none. kCheckFailed: what the run file expects does not hold.
Result<train::Verdict> verifyFirst(const train::RunFile& run, const TrainPlace& place,
                                   int interruptFd, const Context& context);

// Variables of this process that change what a command computes, or how fast.
std::map<std::string, std::string> telling(const std::map<std::string, std::string>& own);

}  // namespace railhead::app
