{
  "target_defaults": {
    "include_dirs": ["."],
    "defines": ["NAPI_VERSION=8", "NODE_ADDON_API_DISABLE_CPP_EXCEPTIONS", "NODE_ADDON_API_DISABLE_DEPRECATED", "NODE_API_SWALLOW_UNTHROWABLE_EXCEPTIONS"],
    "conditions": [
      ["OS=='linux'", {
        "cflags!": ["-O3", "-fno-omit-frame-pointer"],
        "cflags": [
          "-O2", "-Wall", "-Wextra", "-Wpedantic", "-Werror", "-Wshadow", "-Wconversion", "-Wno-unused-parameter",
          "-fvisibility=hidden", "-isystem", "<!(node -p \"require('path').resolve(require('node-addon-api').include_dir)\")"
        ],
        "cflags_cc!": ["-std=gnu++17", "-std=gnu++14", "-std=gnu++20", "-fno-exceptions"],
        "cflags_cc": ["-std=c++20", "-fexceptions", "-Wno-missing-field-initializers"]
      }],
      ["OS=='win'", {
        "include_dirs": ["<!(node -p \"require('path').resolve(require('node-addon-api').include_dir)\")"],
        "defines!": ["_HAS_EXCEPTIONS=0"],
        "defines": ["_WIN32_WINNT=0x0A00", "NOMINMAX", "WIN32_LEAN_AND_MEAN"],
        "msvs_settings": {
          "VCCLCompilerTool": {
            "AdditionalOptions": ["/std:c++20", "/Zc:__cplusplus"], "ExceptionHandling": 1, "WarningLevel": "3"
          }
        }
      }]
    ]
  },
  "targets": [
    {
      "target_name": "zerio",
      "sources": [
        "addon/binding/addon.cc",
        "addon/binding/loop.cc",
        "addon/engine/engine.cc",
        "addon/engine/engine_ending.cc",
        "addon/engine/engine_memory.cc",
        "addon/engine/engine_opening.cc",
        "addon/engine/engine_time.cc",
        "addon/engine/handshake.cc"
      ],
      "conditions": [
        ["OS=='linux'", {
          "sources": [
            "addon/binding/loop_wake_linux.cc",
            "addon/io/address_posix.cc",
            "addon/io/clock_posix.cc",
            "addon/io/epoll.cc",
            "addon/io/io_uring.cc",
            "addon/io/linux.cc",
            "addon/io/memory_posix.cc",
            "addon/io/socket_posix.cc",
            "addon/io/uring_queue.cc"
          ]
        }],
        ["OS=='win'", {
          "sources": [
            "addon/binding/loop_wake_windows.cc",
            "addon/io/address_windows.cc",
            "addon/io/clock_windows.cc",
            "addon/io/completion_port.cc",
            "addon/io/memory_windows.cc",
            "addon/io/rio.cc",
            "addon/io/windows.cc",
            "addon/io/windows_io.cc",
            "addon/io/winsock.cc"
          ],
          "libraries": ["-lws2_32.lib", "-lmswsock.lib"]
        }]
      ]
    }
  ],
  "conditions": [
    ["OS=='linux' and '<!(node -p \"require('fs').existsSync('test/native')\")'=='true'", {
      "targets": [
        {
          "target_name": "zerio_test",
          "sources": ["test/native/zerio_test.cc", "test/native/guarded_posix.cc", "addon/engine/handshake.cc"]
        }
      ]
    }]
  ]
}
