// Keeps somebody informed of all objects of a collection: lists, watches, connects again. A
// thread's main function: it owns no thread.
#pragma once

#include "src/kube/api/api_server.h"
#include "src/kube/api/retry_pause.h"

#include <string>
#include <vector>

namespace railhead::kube {

// Called from the following thread, one call at a time.
class CollectionListener {
 public:
  virtual ~CollectionListener() = default;
  // These are all. No such kind in the cluster: none.
  virtual void listed(std::vector<std::string> objects) = 0;
  virtual void changed(const std::string& object) = 0;  // came or changed
  virtual void gone(const std::string& object) = 0;
  // What is known stays; it is tried again. Once for each message.
  virtual void failed(const Error& error) = 0;
};

// Until cancelled. A watch that ends goes on from its last event, one whose place the server forgot
// begins with a new list; what fails is tried again after growing pauses. A kind that does not
// exist (404) is looked for with the same pauses; as an API server that starts may say so for a
// moment, a known list is given up only when it says so twice.
void followCollection(ApiServer& api, const Collection& collection, CollectionListener& listener,
                      PauseLimits pauses, const Cancel& cancel);

}  // namespace railhead::kube
