#include "tools/interrupt.h"

#include <csignal>

#include "src/base/error.h"

namespace windlass {
namespace {

volatile std::sig_atomic_t g_interrupted = 0;  // the one thing a signal handler may write

void on_interrupt(int) { g_interrupted = 1; }

}  // namespace

void install_interrupt_handler() {
  struct sigaction action {};
  action.sa_handler = on_interrupt;
  sigemptyset(&action.sa_mask);
  action.sa_flags = static_cast<int>(SA_RESETHAND);  // the next one kills
  for (const int signal : {SIGINT, SIGTERM, SIGHUP}) sigaction(signal, &action, nullptr);
}

bool interrupted() { return g_interrupted != 0; }

void throw_if_interrupted() {
  if (interrupted()) fail(ErrorCode::kInterrupted, "interrupted");
}

}  // namespace windlass
