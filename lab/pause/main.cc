// railhead-lab-pause: the first process of a pod in the lab. It keeps the pod's namespaces alive,
// reaps what is orphaned in it and ends when it is told to.
#include <initializer_list>

#include <signal.h>
#include <sys/wait.h>

int main() {
  sigset_t wanted;
  sigemptyset(&wanted);
  for (const int signal : {SIGTERM, SIGINT, SIGCHLD}) sigaddset(&wanted, signal);
  sigprocmask(SIG_BLOCK, &wanted, nullptr);
  for (;;) {
    int signal = 0;
    sigwait(&wanted, &signal);
    if (signal != SIGCHLD) return 0;
    while (waitpid(-1, nullptr, WNOHANG) > 0) {
    }
  }
}
