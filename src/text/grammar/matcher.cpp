#include "src/text/grammar/matcher.h"

#include <algorithm>

#include "src/base/check.h"
#include "src/base/error.h"

namespace windlass {
namespace {

// A JSON grammar has some tens of states in use at once; 2,048 rows of 512 B are 1 MiB.
constexpr std::size_t kMostStates = 2048;
constexpr std::size_t kMostPlacesInAll = 1 << 15;  // 8 B each, twice
constexpr std::size_t kMostStacks = 1 << 14;       // 8 B each, twice, and 12 B of tables
constexpr std::size_t kMostPlaces = 1 << 13;       // followed for one step, ends included
constexpr std::size_t kSeenSlots = 2 * kMostPlaces;
constexpr Matcher::StateId kUnknown = 0xFFFE;

std::size_t hash(std::uint64_t value) {  // the finaliser of SplitMix64
  value = (value ^ (value >> 30)) * 0xbf58476d1ce4e5b9u;
  value = (value ^ (value >> 27)) * 0x94d049bb133111ebu;
  return static_cast<std::size_t>(value ^ (value >> 31));
}

std::uint64_t pack(std::int32_t high, std::int32_t low) {
  return (static_cast<std::uint64_t>(static_cast<std::uint32_t>(high)) << 32) |
         static_cast<std::uint32_t>(low);
}
std::int32_t node_of(std::uint64_t place) { return static_cast<std::int32_t>(place >> 32); }
std::int32_t stack_of(std::uint64_t place) {
  return static_cast<std::int32_t>(place & 0xFFFFFFFFu);
}

[[noreturn]] void refuse_ambiguity() {
  fail(ErrorCode::kUnsupported,
       "the grammar is too ambiguous or nested too deep: the text so far can be read in more than "
       "{} ways",
       kMostPlaces);
}

}  // namespace

Matcher::Matcher(Automaton automaton) : automaton_(std::move(automaton)) {
  states_.reserve(kMostStates);
  places_.reserve(kMostPlacesInAll);
  old_places_.reserve(kMostPlacesInAll);
  steps_.reserve(kMostStates * 256);
  state_slots_.resize(2 * kMostStates);
  stacks_.reserve(kMostStacks);
  old_stacks_.reserve(kMostStacks);
  stack_slots_.resize(2 * kMostStacks);
  moved_stacks_.reserve(kMostStacks);
  chain_.reserve(kMostStacks);
  found_.reserve(kMostPlaces);
  open_.reserve(2 * kMostPlaces);
  seen_.resize(kSeenSlots);
  seen_stamps_.resize(kSeenSlots);
  clear();
}

void Matcher::clear() {
  ++generation_;
  states_.assign(1, State());  // kDead
  steps_.assign(256, kDead);
  places_.clear();
  stacks_.assign(1, StackEntry());
  std::fill(state_slots_.begin(), state_slots_.end(), kDead);
  std::fill(stack_slots_.begin(), stack_slots_.end(), 0);
}

Matcher::StateId Matcher::restart() {
  clear();
  begin_state();
  open(automaton_.entries[static_cast<std::size_t>(automaton_.root)], 0);
  WINDLASS_CHECK(follow_open(), stacks_.size());
  return intern_state();
}

Matcher::StateId Matcher::step(StateId state, std::uint8_t byte) {
  const StateId known = steps_[256u * state + byte];
  if (known != kUnknown) return known;
  const StateId next = compute_step(state, byte);
  if (next != kFull) steps_[256u * state + byte] = next;
  return next;
}

Matcher::StateId Matcher::compute_step(StateId state, std::uint8_t byte) {
  begin_state();
  const State from = states_[state];
  for (std::uint32_t i = 0; i < from.n_places; ++i) {
    const Place place = places_[from.begin + i];
    const GrammarNode& node = automaton_.nodes[static_cast<std::size_t>(node_of(place))];
    work_ += node.b;
    for (std::int32_t r = node.a; r < node.a + node.b; ++r) {
      const ByteRange& range = automaton_.ranges[static_cast<std::size_t>(r)];
      if (byte < range.first || byte > range.last) continue;
      open(range.next, stack_of(place));
      if (!follow_open()) return kFull;
    }
  }
  return intern_state();
}

void Matcher::begin_state() {
  found_.clear();
  open_.clear();
  complete_ = false;
  n_seen_ = 0;
  if (++seen_stamp_ == 0) {  // after 2^32 states: old stamps would count again
    std::fill(seen_stamps_.begin(), seen_stamps_.end(), 0);
    seen_stamp_ = 1;
  }
}

// Each (node, stack) once, and none from which the rule cannot end.
void Matcher::open(std::int32_t node, std::int32_t stack) {
  if (!automaton_.nodes[static_cast<std::size_t>(node)].live) return;
  const Place place = pack(node, stack);
  std::size_t slot = hash(place) & (kSeenSlots - 1);
  while (seen_stamps_[slot] == seen_stamp_) {
    if (seen_[slot] == place) return;
    slot = (slot + 1) & (kSeenSlots - 1);
  }
  if (++n_seen_ > kMostPlaces) refuse_ambiguity();
  seen_stamps_[slot] = seen_stamp_;
  seen_[slot] = place;
  open_.push_back(place);
  ++work_;
}

bool Matcher::follow_open() {
  while (!open_.empty()) {
    const Place place = open_.back();
    open_.pop_back();
    const std::int32_t stack = stack_of(place);
    const GrammarNode node = automaton_.nodes[static_cast<std::size_t>(node_of(place))];
    switch (node.kind) {
      case NodeKind::kBytes:
        found_.push_back(place);
        break;
      case NodeKind::kSplit:
        open(node.a, stack);
        open(node.b, stack);
        break;
      case NodeKind::kCall: {
        // A call at the end of a rule returns to the rule's own caller: lists do not grow stacks.
        const bool at_end =
            automaton_.nodes[static_cast<std::size_t>(node.b)].kind == NodeKind::kEnd;
        const std::int32_t callee_stack = at_end ? stack : intern_stack({node.b, stack});
        if (callee_stack < 0) {
          open_.clear();
          return false;
        }
        open(automaton_.entries[static_cast<std::size_t>(node.a)], callee_stack);
        break;
      }
      case NodeKind::kEnd: {
        const StackEntry& top = stacks_[static_cast<std::size_t>(stack)];
        if (stack == 0) {
          complete_ = true;
        } else {
          open(top.return_node, top.below);
        }
        break;
      }
    }
  }
  return true;
}

Matcher::StateId Matcher::intern_state() {
  if (found_.empty() && !complete_) return kDead;
  std::sort(found_.begin(), found_.end());
  std::uint64_t content = complete_ ? 1 : 2;
  for (const Place place : found_) content = hash(content + place);
  std::size_t slot = static_cast<std::size_t>(content) & (2 * kMostStates - 1);
  for (; state_slots_[slot] != kDead; slot = (slot + 1) & (2 * kMostStates - 1)) {
    const State& other = states_[state_slots_[slot]];
    const auto begin = places_.begin() + other.begin;
    if (other.complete == complete_ && other.n_places == found_.size() &&
        std::equal(found_.begin(), found_.end(), begin)) {
      return state_slots_[slot];
    }
  }
  if (states_.size() == kMostStates || places_.size() + found_.size() > kMostPlacesInAll)
    return kFull;
  const auto id = static_cast<StateId>(states_.size());
  states_.push_back({static_cast<std::uint32_t>(places_.size()),
                     static_cast<std::uint32_t>(found_.size()), complete_});
  places_.insert(places_.end(), found_.begin(), found_.end());
  steps_.resize(steps_.size() + 256, kUnknown);
  state_slots_[slot] = id;
  return id;
}

std::int32_t Matcher::intern_stack(const StackEntry& entry) {
  constexpr std::size_t kMask = 2 * kMostStacks - 1;
  std::size_t slot = hash(pack(entry.return_node, entry.below)) & kMask;
  for (; stack_slots_[slot] != 0; slot = (slot + 1) & kMask) {
    const StackEntry& other = stacks_[static_cast<std::size_t>(stack_slots_[slot])];
    if (other.return_node == entry.return_node && other.below == entry.below)
      return stack_slots_[slot];
  }
  if (stacks_.size() == kMostStacks) return -1;
  stack_slots_[slot] = static_cast<std::int32_t>(stacks_.size());
  stacks_.push_back(entry);
  return stack_slots_[slot];
}

// The new number of a stack of before compact(), with all below it.
std::int32_t Matcher::copy_stack(std::int32_t old_stack) {
  chain_.clear();
  while (moved_stacks_[static_cast<std::size_t>(old_stack)] < 0) {
    chain_.push_back(old_stack);
    old_stack = old_stacks_[static_cast<std::size_t>(old_stack)].below;
  }
  std::int32_t moved = moved_stacks_[static_cast<std::size_t>(old_stack)];
  while (!chain_.empty()) {
    const auto index = static_cast<std::size_t>(chain_.back());
    chain_.pop_back();
    moved = intern_stack({old_stacks_[index].return_node, moved});
    moved_stacks_[index] = moved;
  }
  return moved;
}

void Matcher::compact(std::span<StateId> states) {
  const std::vector<State> old_states(states_);  // a few KiB, and seldom
  std::swap(places_, old_places_);
  std::swap(stacks_, old_stacks_);
  moved_stacks_.assign(old_stacks_.size(), -1);
  moved_stacks_[0] = 0;
  clear();
  for (StateId& id : states) {
    if (id == kDead) continue;
    const State& old = old_states[id];
    found_.clear();
    complete_ = old.complete;
    for (std::uint32_t i = 0; i < old.n_places; ++i) {
      const Place place = old_places_[old.begin + i];
      found_.push_back(pack(node_of(place), copy_stack(stack_of(place))));
    }
    id = intern_state();
  }
  // Less than half must be left over for what comes, or compacting would happen at each step.
  if (states_.size() > kMostStates / 2 || places_.size() > kMostPlacesInAll / 2 ||
      stacks_.size() > kMostStacks / 2) {
    refuse_ambiguity();
  }
}

std::int64_t Matcher::size_bytes() const {
  const auto bytes = [](const auto& vector) {
    return static_cast<std::int64_t>(vector.capacity() * sizeof(vector[0]));
  };
  return automaton_.size_bytes() + bytes(states_) + bytes(places_) + bytes(old_places_) +
         bytes(steps_) + bytes(state_slots_) + bytes(stacks_) + bytes(old_stacks_) +
         bytes(stack_slots_) + bytes(moved_stacks_) + bytes(chain_) + bytes(found_) + bytes(open_) +
         bytes(seen_) + bytes(seen_stamps_) +
         static_cast<std::int64_t>(kMostStates * sizeof(State));
}

}  // namespace windlass
