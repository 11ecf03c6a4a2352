{
  "targets": [
    {
      "target_name": "l2tp_dataplane",
      "sources": [
        "src/addon.cc",
        "src/address.cc",
        "src/calls.cc",
        "src/coalesce.cc",
        "src/forward.cc",
        "src/icmp.cc",
        "src/parse.cc",
        "src/punt.cc",
        "src/queue.cc",
        "src/routes.cc",
        "src/segment.cc",
        "src/socket.cc",
        "src/table.cc",
        "src/thread.cc",
        "src/upcalls.cc"
      ],
      "include_dirs": ["<!(node -p \"require('node-addon-api').include_dir\")"],
      "defines": ["NAPI_VERSION=8", "NODE_API_SWALLOW_UNTHROWABLE_EXCEPTIONS", "NAPI_DISABLE_CPP_EXCEPTIONS", "NODE_ADDON_API_DISABLE_DEPRECATED"],
      "cflags": ["-Wall", "-Wextra", "-Werror", "-O2", "-fvisibility=hidden", "-pthread"],
      "cflags_cc!": ["-std=gnu++14", "-std=gnu++20", "-fno-rtti"],
      "cflags_cc": ["-std=gnu++17", "-fno-exceptions"]
    }
  ]
}
