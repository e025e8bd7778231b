// Attaches rail sets to pods and takes them back. Each operation is journal -> steps -> read back;
// a failing step undoes the earlier ones. Repeating an operation is a no-op.
// Thread-safe: operations of different containers run side by side, those of one container wait for
// each other. No namespace stays open after an operation.
#pragma once

#include "src/attach/attachment_table.h"
#include "src/attach/config.h"
#include "src/attach/devices.h"
#include "src/attach/journal.h"
#include "src/attach/networks.h"
#include "src/attach/rail_mover.h"
#include "src/attach/request.h"
#include "src/base/result.h"
#include "src/netlink/client.h"
#include "src/os/clock.h"
#include "src/os/filesystem.h"
#include "src/os/netns.h"

#include <chrono>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

namespace railhead::attach {

// The outside world of an Attacher; everything outlives it.
struct AttachSeams {
  os::Filesystem& files;
  os::NetnsOpener& netns;
  netlink::NetlinkOpener& netlink;
  os::Clock& clock;
  NetworkCatalog& networks;
  PodDevices& devices;
  RailCatalog& rails;
};

// What recover(), gc() and sweep() did, for the log.
struct SweepReport {
  std::vector<std::string> done;  // "gave enp1s0f0np0v0 (0000:01:10.0) back: its pod is gone"
  std::vector<Error> failed;      // each is tried again by the next sweep()
};

class Attacher final {
 public:
  // Checks the configuration, makes the state directory and reads the journal; touches no VF.
  // Call recover() before serving requests.
  static Result<std::unique_ptr<Attacher>> open(AttachConfig config, AttachSeams seams);
  ~Attacher();

  // The CNI result as JSON text in the request's version. Failures leave the node as it was; what
  // could not be undone is named in the error and finished by sweep().
  // kBusy: a VF is held by another pod, which the message names.
  Result<std::string> add(const CniRequest& request);
  // Succeeds when nothing is known, when the namespace is gone, and when it was done before.
  Result<void> del(const CniRequest& request);
  // kCheckFailed says what is different.
  Result<void> check(const CniRequest& request);
  // Takes back what belongs to this network and is not among request.validAttachments.
  Result<SweepReport> gc(const CniRequest& request);
  // Whether ADD could work now: state directory writable, kernel answers.
  Result<void> status();

  // At start: undoes half-done ADDs, finishes half-done DELs, gives VFs of dead namespaces back and
  // renames strays of a lost journal.
  SweepReport recover();
  // Call every second, or on link events: VFs whose namespace died without DEL come back under
  // their own name, and undo that failed is tried again. Costs one open() for each attachment.
  SweepReport sweep();

  // What pods hold now.
  std::vector<Attachment> attachments() const;

 private:
  Attacher(AttachConfig config, AttachSeams seams, Journal journal);

  Result<RailMover> openMover();
  // The attachment's namespace if it is still the one it was; nothing when it is gone.
  Result<std::optional<os::Netns>> openSame(const Attachment& attachment);
  // Answers for an attachment that stands already; nothing when ADD has to be carried out.
  Result<std::optional<std::string>> answerAgain(const CniRequest& request);
  // Enters it into the table; gives VFs back first that a dead or unfinished attachment holds.
  Result<void> claim(const Attachment& attachment);
  Result<void> carryOut(Attachment& attachment, const os::Netns& pod, RailMover& mover);
  // Puts every rail back, the last one first, and forgets the attachment. kNotYet: the kernel still
  // has a VF, sweep() goes on. `pod`: the open namespace, or nullptr when it is gone. An error says
  // all that was not put back; the attachment stays known then.
  Result<Homecoming> takeBack(Attachment attachment, const os::Netns* pod, RailMover& mover,
                              std::chrono::milliseconds wait);
  Result<Homecoming> takeBack(const Attachment& attachment, std::chrono::milliseconds wait);
  void sweepOne(const Attachment& seen, SweepReport& report);
  void sweepStrays(SweepReport& report);
  void sweepStray(const discover::Rail& rail, RailMover& mover, SweepReport& report);

  AttachConfig config_;
  AttachSeams seams_;
  Journal journal_;
  std::vector<Error> damaged_;  // journal files that could not be read at open()
  AttachmentTable table_;
  std::mutex notesMutex_;
  std::vector<std::string> notes_;  // for the next sweep's report
};

}  // namespace railhead::attach
