// The pattern kernels' text: one body for all, and for each element type how a number becomes its
// bits and how these are stored and compared. Threads stride over the elements.
#include "src/gpu/cuda/pattern_kernels.h"

namespace railhead::gpu::cuda {
namespace {

// PTX 6.3 is the first that knows sm_75; code for it runs on every later GPU.
constexpr std::string_view kHead = R"(.version 6.3
.target sm_75
.address_size 64
)";

constexpr std::string_view kFillEntry = R"(
.visible .entry fill_$NAME(
  .param .u64 address_, .param .u64 bytes_, .param .u32 start_, .param .u32 step_,
  .param .u32 terms_, .param .u32 mask_)
{
)";
constexpr std::string_view kCheckEntry = R"(
.visible .entry check_$NAME(
  .param .u64 address_, .param .u64 bytes_, .param .u32 start_, .param .u32 step_,
  .param .u32 terms_, .param .u32 mask_, .param .u64 tally_, .param .u64 offset_)
{
)";

// Up to the number in `value`, the element's offset in `offset`, its address in `at`.
constexpr std::string_view kNumber = R"(
  .reg .pred p_done, p_last, p_aligned, p_whole, p_wrong;
  .reg .b16 r_half;
  .reg .b32 r_start, r_step, r_terms, r_mask, r_block, r_threads, r_thread;
  .reg .b32 r_base, r_term, r_x, r_y, r_value, r_bits, r_seen;
  .reg .b64 r_address, r_bytes, r_count, r_index, r_stride, r_offset, r_at, r_left, r_low;
  .reg .b64 r_wide, r_wide_seen, r_wrong, r_first, r_tally, r_run, r_old;
  .reg .f32 r_float;
  .reg .f64 r_double;
  ld.param.u64 r_address, [address_];
  ld.param.u64 r_bytes, [bytes_];
  ld.param.u32 r_start, [start_];
  ld.param.u32 r_step, [step_];
  ld.param.u32 r_terms, [terms_];
  ld.param.u32 r_mask, [mask_];
  cvta.to.global.u64 r_address, r_address;
  and.b64 r_low, r_address, 3;
  setp.eq.u64 p_aligned, r_low, 0;
  add.u64 r_count, r_bytes, $LAST_BYTE;
  shr.u64 r_count, r_count, $SHIFT;
  mov.u32 r_block, %ctaid.x;
  mov.u32 r_threads, %ntid.x;
  mov.u32 r_thread, %tid.x;
  mul.wide.u32 r_index, r_block, r_threads;
  cvt.u64.u32 r_at, r_thread;
  add.u64 r_index, r_index, r_at;
  mov.u32 r_block, %nctaid.x;
  mul.wide.u32 r_stride, r_block, r_threads;
  mov.u64 r_wrong, 0;
  mov.u64 r_first, 0xffffffffffffffff;
next_element:
  setp.ge.u64 p_done, r_index, r_count;
  @p_done bra finished;
  cvt.u32.u64 r_base, r_index;
  add.u32 r_base, r_base, r_start;
  mov.u32 r_value, 0;
  mov.u32 r_term, 0;
next_term:
  setp.ge.u32 p_last, r_term, r_terms;
  @p_last bra have_value;
  shr.u32 r_y, r_base, 16;
  xor.b32 r_x, r_base, r_y;
  mul.lo.u32 r_x, r_x, 0x21f0aaad;
  shr.u32 r_y, r_x, 15;
  xor.b32 r_x, r_x, r_y;
  mul.lo.u32 r_x, r_x, 0x735a2d97;
  shr.u32 r_y, r_x, 15;
  xor.b32 r_x, r_x, r_y;
  and.b32 r_x, r_x, r_mask;
  add.u32 r_value, r_value, r_x;
  add.u32 r_base, r_base, r_step;
  add.u32 r_term, r_term, 1;
  bra next_term;
have_value:
  shl.b64 r_offset, r_index, $SHIFT;
  add.u64 r_at, r_address, r_offset;
)";

// Whole aligned words at once, others byte by byte, low byte first.
constexpr std::string_view kFillWord = R"(
  sub.u64 r_left, r_bytes, r_offset;
  setp.ge.and.u64 p_whole, r_left, 4, p_aligned;
  @p_whole st.global.u32 [r_at], r_value;
  @p_whole bra stored;
  min.u64 r_left, r_left, 4;
next_byte:
  st.global.u8 [r_at], r_value;
  shr.u32 r_value, r_value, 8;
  add.u64 r_at, r_at, 1;
  sub.u64 r_left, r_left, 1;
  setp.ne.u64 p_whole, r_left, 0;
  @p_whole bra next_byte;
stored:
)";
constexpr std::string_view kCheckWord = R"(
  sub.u64 r_left, r_bytes, r_offset;
  setp.ge.and.u64 p_whole, r_left, 4, p_aligned;
  @!p_whole bra by_bytes;
  ld.global.u32 r_seen, [r_at];
  setp.ne.u32 p_wrong, r_seen, r_value;
  bra compared;
by_bytes:
  min.u64 r_left, r_left, 4;
  setp.ne.u32 p_wrong, r_value, r_value;
next_byte:
  ld.global.u8 r_seen, [r_at];
  and.b32 r_bits, r_value, 0xff;
  setp.ne.or.u32 p_wrong, r_seen, r_bits, p_wrong;
  shr.u32 r_value, r_value, 8;
  add.u64 r_at, r_at, 1;
  sub.u64 r_left, r_left, 1;
  setp.ne.u64 p_whole, r_left, 0;
  @p_whole bra next_byte;
compared:
)";

constexpr std::string_view kFillEnd = R"(
  add.u64 r_index, r_index, r_stride;
  bra next_element;
finished:
  ret;
}
)";
// A thread counts for itself; only one that found something touches the tally.
constexpr std::string_view kCheckEnd = R"(
  @!p_wrong bra right;
  add.u64 r_wrong, r_wrong, 1;
  min.u64 r_first, r_first, r_offset;
right:
  add.u64 r_index, r_index, r_stride;
  bra next_element;
finished:
  setp.eq.u64 p_done, r_wrong, 0;
  @p_done ret;
  ld.param.u64 r_tally, [tally_];
  ld.param.u64 r_run, [offset_];
  cvta.to.global.u64 r_tally, r_tally;
  add.u64 r_first, r_first, r_run;
  atom.global.add.u64 r_old, [r_tally], r_wrong;
  atom.global.min.u64 r_old, [r_tally+8], r_first;
  ret;
}
)";

// How a number becomes an element's bits, in r_bits or (64 bits) r_wide, and how wide that is.
struct ElementText {
  PatternElement element;
  std::string_view encode;
  unsigned shift;  // bytes = 1 << shift
};
constexpr std::array<ElementText, kPatternElements> kElements{{
    {PatternElement::kWord, "", 2},
    {PatternElement::kByte, "  and.b32 r_bits, r_value, 0xff;\n", 0},
    {PatternElement::kInt32, "  mov.b32 r_bits, r_value;\n", 2},
    {PatternElement::kInt64, "  cvt.u64.u32 r_wide, r_value;\n", 3},
    {PatternElement::kFloat16,
     "  cvt.rn.f16.u32 r_half, r_value;\n"
     "  cvt.u32.u16 r_bits, r_half;\n",
     1},
    // Whole numbers up to 256 have no bits in the lower half of a float.
    {PatternElement::kBfloat16,
     "  cvt.rn.f32.u32 r_float, r_value;\n"
     "  mov.b32 r_bits, r_float;\n"
     "  shr.u32 r_bits, r_bits, 16;\n",
     1},
    {PatternElement::kFloat32,
     "  cvt.rn.f32.u32 r_float, r_value;\n"
     "  mov.b32 r_bits, r_float;\n",
     2},
    {PatternElement::kFloat64,
     "  cvt.rn.f64.u32 r_double, r_value;\n"
     "  mov.b64 r_wide, r_double;\n",
     3},
}};

std::string storeText(const ElementText& text) {
  if (text.element == PatternElement::kWord) return std::string(kFillWord);
  const std::string bits = std::to_string(8U << text.shift);
  const std::string from = text.shift == 3 ? "r_wide" : "r_bits";
  return std::string(text.encode) + "  st.global.u" + bits + " [r_at], " + from + ";\n";
}

std::string compareText(const ElementText& text) {
  if (text.element == PatternElement::kWord) return std::string(kCheckWord);
  const std::string bits = std::to_string(8U << text.shift);
  const bool wide = text.shift == 3;
  const std::string seen = wide ? "r_wide_seen" : "r_seen";
  return std::string(text.encode) + "  ld.global.u" + bits + " " + seen + ", [r_at];\n" +
         "  setp.ne." + (wide ? "u64" : "u32") + " p_wrong, " + seen + ", " +
         (wide ? "r_wide" : "r_bits") + ";\n";
}

void replaceAll(std::string& text, std::string_view mark, std::string_view with) {
  for (std::size_t at = text.find(mark); at != std::string::npos; at = text.find(mark, at)) {
    text.replace(at, mark.size(), with);
    at += with.size();
  }
}

}  // namespace

std::size_t patternElementBytes(PatternElement element) {
  return std::size_t{1} << kElements.at(static_cast<std::size_t>(element)).shift;
}

std::string_view patternElementName(PatternElement element) {
  static constexpr std::array<std::string_view, kPatternElements> kNames{
      "word", "byte", "int32", "int64", "float16", "bfloat16", "float32", "float64"};
  return kNames.at(static_cast<std::size_t>(element));
}

std::string patternPtx() {
  std::string out(kHead);
  for (const ElementText& text : kElements) {
    std::string kernels = std::string(kFillEntry) + std::string(kNumber) + storeText(text) +
                          std::string(kFillEnd) + std::string(kCheckEntry) + std::string(kNumber) +
                          compareText(text) + std::string(kCheckEnd);
    replaceAll(kernels, "$NAME", patternElementName(text.element));
    replaceAll(kernels, "$SHIFT", std::to_string(text.shift));
    replaceAll(kernels, "$LAST_BYTE", std::to_string((1U << text.shift) - 1));
    out += kernels;
  }
  return out;
}

}  // namespace railhead::gpu::cuda
