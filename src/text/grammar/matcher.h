// Matching a grammar byte by byte, as a deterministic automaton made while it is used: a state is
// the set of all (node, stack of return nodes) that the bytes so far allow, found again by its
// content, and its steps are remembered. Tables have a fixed size; when they are full, compact()
// forgets all but the states that are still wanted.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "src/text/grammar/automaton.h"

namespace windlass {

// Owner-thread. Nothing allocates after the constructor.
class Matcher {
 public:
  using StateId = std::uint16_t;
  static constexpr StateId kDead = 0;       // no text of the grammar begins with these bytes
  static constexpr StateId kFull = 0xFFFF;  // not a state: call compact() and try again

  explicit Matcher(Automaton automaton);

  // Before any byte; forgets everything else.
  StateId restart();
  // The state after one more byte, or kFull. Error(kUnsupported) when the grammar is so ambiguous
  // that more than kMostPlaces places in it have to be followed at once.
  StateId step(StateId state, std::uint8_t byte);
  // Keeps these states only, under new ids. Error(kUnsupported) if even they fill the tables.
  void compact(std::span<StateId> states);
  // Changes whenever ids did: what was remembered by id is void.
  std::uint64_t generation() const { return generation_; }

  bool complete(StateId state) const { return states_[state].complete; }  // the text may end here
  bool can_go_on(StateId state) const { return states_[state].n_places > 0; }

  // Steps computed, not looked up, and their parts: what bounds the time of a walk.
  std::int64_t work() const { return work_; }
  std::int64_t size_bytes() const;

 private:
  // A place in the grammar: a kBytes node (high half) and a stack (low half).
  using Place = std::uint64_t;
  struct State {
    std::uint32_t begin = 0, n_places = 0;  // in places_
    bool complete = false;
  };
  struct StackEntry {
    std::int32_t return_node = -1, below = -1;
  };

  void clear();
  StateId compute_step(StateId state, std::uint8_t byte);
  void begin_state();
  void open(std::int32_t node, std::int32_t stack);
  bool follow_open();  // false: full
  StateId intern_state();
  std::int32_t intern_stack(const StackEntry& entry);  // -1: full
  std::int32_t copy_stack(std::int32_t old_stack);

  Automaton automaton_;
  std::vector<State> states_;
  std::vector<Place> places_, old_places_;
  std::vector<StateId> steps_;                   // [state, byte]
  std::vector<StateId> state_slots_;             // hash table
  std::vector<StackEntry> stacks_, old_stacks_;  // 0 is the empty one
  std::vector<std::int32_t> stack_slots_, moved_stacks_, chain_;
  // The state being made.
  std::vector<Place> found_, open_;
  bool complete_ = false;
  std::vector<Place> seen_;  // hash table; an entry counts if its stamp is seen_stamp_
  std::vector<std::uint32_t> seen_stamps_;
  std::uint32_t seen_stamp_ = 0;
  std::size_t n_seen_ = 0;
  std::uint64_t generation_ = 0;
  std::int64_t work_ = 0;
};

}  // namespace windlass
