// Ctrl-C: the first asks the program to end cleanly, the second ends it at once.
#pragma once

namespace windlass {

// Handles SIGINT from here on. System calls that wait are interrupted (EINTR).
void install_interrupt_handler();
bool interrupted();
// Error(kInterrupted) once Ctrl-C came.
void throw_if_interrupted();

}  // namespace windlass
