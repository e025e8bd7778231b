// The gRPC servers of the kubelet stand-in: Registration on the device-plugins socket and
// PodResourcesLister on the pod-resources socket. They know nothing; they ask their Desk.
#pragma once

#include "src/base/result.h"
#include "src/kube/device.h"

#include <memory>
#include <string>
#include <vector>

namespace railhead::lab {

struct RegistrationRequest {
  std::string version;
  std::string endpoint;
  std::string resource;
};

// One resource of one pod, in kubelet's wire order.
struct HeldDevice {
  std::string podNamespace;
  std::string pod;
  std::string resource;
  kube::Device device;
};

class Desk {
 public:
  virtual ~Desk() = default;
  // Called from gRPC's threads, at the same time too.
  virtual Result<void> onRegister(const RegistrationRequest& request) = 0;
  // Every pod, those without devices as one line with an empty resource.
  virtual std::vector<HeldDevice> heldDevices() = 0;
  virtual std::vector<HeldDevice> allDevices() = 0;  // pod and namespace empty
  // Whether one more call of the pod-resources API is within kubelet's rate.
  virtual bool admitsCall() = 0;
};

class Services {
 public:
  struct Sockets {
    std::string registration;
    std::string podResources;
    bool offersGet = true;  // kubelets before 1.27 have no PodResourcesLister.Get
  };
  static Result<std::unique_ptr<Services>> start(const Sockets& sockets, Desk& desk);
  ~Services();  // stops: cancels calls, removes the sockets
  Services(const Services&) = delete;
  Services& operator=(const Services&) = delete;

 private:
  class Servers;
  explicit Services(std::unique_ptr<Servers> servers);
  std::unique_ptr<Servers> servers_;
};

}  // namespace railhead::lab
