// Stands in for QEMU in the keeper's tests: takes its command line and inherited sockets, answers
// QMP, and speaks the guest's side of the control channel. The node's name decides how it behaves:
//   mute...     says something on its console and never gets ready
//   dies...     writes a kernel panic and ends
//   garbage...  sends nonsense on its control channel
// any other gets ready and knows these commands: echo, warn, env, cat, exit N, spew BYTES, wait,
// die.
#include "lab/protocol/frame.h"
#include "lab/protocol/messages.h"
#include "src/base/text.h"

#include <cstdio>
#include <cstdlib>
#include <map>
#include <regex>
#include <string>
#include <vector>

#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

namespace {

using railhead::lab::ExecRequest;
using railhead::lab::ExitMessage;
using railhead::lab::Frame;
using railhead::lab::FrameType;

void sendAll(int fd, std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t sent = ::send(fd, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (sent < 0) std::exit(0);  // the keeper is gone
    bytes.remove_prefix(static_cast<std::size_t>(sent));
  }
}

class FakeNode {
 public:
  FakeNode(std::string name, int qmp, int console, int control)
      : name_(std::move(name)), qmp_(qmp), console_(console), control_(control) {}

  int run() {
    sendAll(qmp_, "{\"QMP\": {\"version\": {}, \"capabilities\": []}}\r\n");
    print("\x1b[2Jbooting " + name_);
    if (name_.starts_with("mute")) {
      print("waiting for a disk that is not there");
    } else if (name_.starts_with("dies")) {
      print("Kernel panic - not syncing: no init found");
      std::fprintf(stderr, "qemu: guest panicked\n");
      return 1;
    } else if (name_.starts_with("garbage")) {
      sendAll(control_, std::string(64, '\xff'));
    } else {
      sendReady();
    }
    for (;;) {
      pollfd fds[2] = {{qmp_, POLLIN, 0}, {control_, POLLIN, 0}};
      if (::poll(fds, 2, -1) < 0) return 1;
      if (fds[0].revents != 0 && !serveQmp()) return 0;
      if (fds[1].revents != 0 && !serveControl()) return 0;
    }
  }

 private:
  void print(const std::string& line) { sendAll(console_, line + "\r\n"); }

  void sendReady() {
    send(FrameType::kReady, 0, railhead::lab::ReadyMessage{name_, "7.0.0-fake", 0.5}.encode());
  }

  void send(FrameType type, std::uint32_t stream, std::string_view payload) {
    std::string out;
    if (type == FrameType::kStdout) {
      railhead::lab::appendChunked(out, type, stream, payload);
    } else {
      out = encodeFrame(type, stream, payload);
    }
    sendAll(control_, out);
  }

  void finish(std::uint32_t stream, int code) {
    ExitMessage exit;
    exit.code = code;
    send(FrameType::kExit, stream, exit.encode());
    running_.erase(stream);
  }

  bool serveQmp() {
    char chunk[4096];
    const ssize_t got = ::read(qmp_, chunk, sizeof chunk);
    if (got <= 0) return false;
    qmpText_.append(chunk, static_cast<std::size_t>(got));
    for (auto end = qmpText_.find('\n'); end != std::string::npos; end = qmpText_.find('\n')) {
      const std::string line = qmpText_.substr(0, end);
      qmpText_.erase(0, end + 1);
      std::smatch found;
      if (std::regex_search(line, found, std::regex(R"re("name":"(\w+)","up":(\w+))re"))) {
        print("set_link " + found[1].str() + " " + found[2].str());
      }
      if (std::regex_search(line, found, std::regex(R"re("id":(\d+))re"))) {
        sendAll(qmp_, "{\"return\": {}, \"id\": " + found[1].str() + "}\r\n");
      }
    }
    return true;
  }

  bool serveControl() {
    char chunk[65536];
    const ssize_t got = ::read(control_, chunk, sizeof chunk);
    if (got <= 0) return false;
    decoder_.feed(std::string_view(chunk, static_cast<std::size_t>(got)));
    for (;;) {
      const auto frame = decoder_.next();
      if (!frame) return false;
      if (!*frame) return true;
      onFrame(**frame);
    }
  }

  void onFrame(const Frame& frame) {
    const auto running = running_.find(frame.stream);
    if (frame.type == FrameType::kExec) {
      const auto request = ExecRequest::parse(frame.payload);
      if (request) start(frame.stream, *request);
    } else if (running == running_.end()) {
      return;
    } else if (frame.type == FrameType::kStdin && running->second == "cat") {
      send(FrameType::kStdout, frame.stream, frame.payload);
    } else if (frame.type == FrameType::kStdinEnd && running->second == "cat") {
      finish(frame.stream, 0);
    } else if (frame.type == FrameType::kSignal) {
      const auto request = railhead::lab::SignalRequest::parse(frame.payload);
      if (!request) return;
      print("signal " + std::to_string(request->signal));
      if (running->second == "wait" && request->signal == 15) return;  // only SIGKILL ends it
      ExitMessage exit;
      exit.signal = request->signal;
      send(FrameType::kExit, frame.stream, exit.encode());
      running_.erase(running);
    }
  }

  void start(std::uint32_t stream, const ExecRequest& request) {
    const std::string& command = request.argv[0];
    const std::string argument = request.argv.size() > 1 ? request.argv[1] : "";
    running_[stream] = command;
    if (command == "echo") {
      send(FrameType::kStdout, stream, argument + "\n");
    } else if (command == "warn") {
      send(FrameType::kStderr, stream, argument + "\n");
    } else if (command == "env") {
      const auto value = request.env.find(argument);
      send(FrameType::kStdout, stream, value == request.env.end() ? "" : value->second);
    } else if (command == "exit") {
      return finish(stream, std::atoi(argument.c_str()));
    } else if (command == "spew") {
      send(FrameType::kStdout, stream,
           std::string(static_cast<std::size_t>(std::atol(argument.c_str())), 'x'));
    } else if (command == "die") {
      print("Oops: told to die");
      ::_exit(3);
    } else if (command == "cat" || command == "wait" || command == "sleep") {
      return;  // input and signals go on with it
    } else {
      running_.erase(stream);
      return send(FrameType::kRefused, stream, command + ": not found");
    }
    finish(stream, 0);
  }

  std::string name_;
  int qmp_;
  int console_;
  int control_;
  std::string qmpText_;
  railhead::lab::FrameDecoder decoder_;
  std::map<std::uint32_t, std::string> running_;  // stream -> command
};

int answerQuestion(const std::string& option) {
  if (option == "-version") std::puts("QEMU emulator version 10.0.0 (fake)");
  if (option == "-device") {
    for (const char* name : {"igb", "pcie-root-port", "virtserialport", "virtio-blk-pci"}) {
      std::printf("name \"%s\", bus PCI\n", name);
    }
  }
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  const std::vector<std::string> arguments(argv + 1, argv + argc);
  if (arguments.size() <= 2) return answerQuestion(arguments.empty() ? "" : arguments[0]);
  std::map<std::string, int> sockets;
  std::string name;
  for (std::size_t i = 0; i + 1 < arguments.size(); ++i) {
    std::smatch found;
    const std::string& value = arguments[i + 1];
    if (arguments[i] == "-chardev" &&
        std::regex_search(value, found, std::regex("id=(\\w+),fd=(\\d+)"))) {
      sockets[found[1].str()] = std::atoi(found[2].str().c_str());
    }
    if (arguments[i] == "-append" &&
        std::regex_search(value, found, std::regex("railhead.node=(\\S+)"))) {
      name = found[1].str();
    }
  }
  return FakeNode(name, sockets.at("qmp"), sockets.at("console"), sockets.at("control")).run();
}
