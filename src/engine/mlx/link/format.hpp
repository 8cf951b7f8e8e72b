// libstdc++ has <format> from GCC 13 on; mlx-c 0.7.0 needs of it only std::format with plain "{}".
#pragma once
#include <version>
#ifndef __cpp_lib_format
#include <sstream>
#include <string>
#include <string_view>

namespace std {
template <class... Values>
string format(string_view pattern, const Values&... values) {
  ostringstream out;
  auto put = [&](const auto& value) {
    const auto hole = pattern.find("{}");
    out << pattern.substr(0, hole) << value;
    pattern.remove_prefix(hole == string_view::npos ? pattern.size() : hole + 2);
  };
  (put(values), ...);
  out << pattern;
  return out.str();
}
} // namespace std
#endif
