{
  "variables": {
    "in_checkout": "<!(node -p \"require('fs').existsSync('../test/native')\")",
    "prebuilt_folder": "../prebuilds/<!(node -p \"process.platform + '-' + process.arch + (process.platform !== 'linux' || process.report.getReport().header.glibcVersionRuntime ? '' : '-musl')\")"
  },
  "target_defaults": {
    "defines": ["NAPI_VERSION=8"],
    "conditions": [
      ["OS=='linux' or OS=='freebsd'", {
        "cflags!": ["-O3", "-fno-omit-frame-pointer"],
        "ldflags": ["-Wl,-z,lazy"],
        "cflags": [
          "-O2", "-Wall", "-Wextra", "-Wpedantic", "-Wshadow", "-Wconversion", "-Wno-unused-parameter",
          "-fvisibility=hidden"
        ],
        "cflags_cc!": ["-std=gnu++17", "-std=gnu++14", "-std=gnu++20", "-fno-exceptions"],
        "cflags_cc": ["-std=c++20", "-fexceptions", "-Wno-missing-field-initializers"]
      }],
      ["OS=='linux' and in_checkout=='true'", {"cflags": ["-Werror"]}],
      ["OS=='mac'", {
        "xcode_settings": {
          "CLANG_CXX_LANGUAGE_STANDARD": "c++20",
          "CLANG_CXX_LIBRARY": "libc++",
          "GCC_ENABLE_CPP_EXCEPTIONS": "YES",
          "GCC_SYMBOLS_PRIVATE_EXTERN": "YES",
          "MACOSX_DEPLOYMENT_TARGET": "11.0"
        }
      }],
      ["OS=='win'", {
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
        "binding/addon.cc",
        "binding/loop.cc",
        "binding/loop_uv.cc",
        "binding/spin_window.cc",
        "binding/wakers.cc",
        "engine/engine.cc",
        "engine/engine_ending.cc",
        "engine/engine_limits.cc",
        "engine/engine_memory.cc",
        "engine/engine_opening.cc",
        "engine/engine_sending.cc",
        "engine/engine_sharing.cc",
        "engine/engine_sessions.cc",
        "engine/engine_topics.cc",
        "engine/engine_time.cc",
        "engine/handshake.cc",
        "engine/sip_hash.cc",
        "io/conditions/conditioned_io.cc"
      ],
      "conditions": [
        ["OS=='linux'", {
          "sources": [
            "binding/loop_alarm_linux.cc",
            "binding/loop_portable_linux.cc",
            "binding/loop_wake_posix.cc",
            "io/posix/address.cc",
            "io/posix/clock.cc",
            "io/linux/epoll_set.cc",
            "io/linux/io_uring.cc",
            "io/linux/linux.cc",
            "io/linux/socket_calls.cc",
            "io/linux/tcp_status.cc",
            "io/posix/memory.cc",
            "io/posix/socket.cc",
            "io/posix/socket_file.cc",
            "io/linux/uring_operations.cc",
            "io/linux/uring_queue.cc"
          ]
        }],
        ["OS=='mac' or OS=='freebsd'", {
          "sources": [
            "binding/loop_alarm_none.cc",
            "binding/loop_portable_none.cc",
            "binding/loop_wake_posix.cc",
            "io/bsd/bsd.cc",
            "io/bsd/kqueue_set.cc",
            "io/bsd/socket_calls.cc",
            "io/bsd/tcp_status.cc",
            "io/posix/address.cc",
            "io/posix/clock.cc",
            "io/posix/memory.cc",
            "io/posix/socket.cc",
            "io/posix/socket_file.cc"
          ]
        }],
        ["OS=='win'", {
          "sources": [
            "binding/dll_windows.cc",
            "binding/loop_alarm_none.cc",
            "binding/loop_portable_none.cc",
            "binding/loop_wake_windows.cc",
            "io/windows/address.cc",
            "io/windows/clock.cc",
            "io/windows/completion_port.cc",
            "io/windows/locked_pool.cc",
            "io/windows/memory.cc",
            "io/windows/process_end.cc",
            "io/windows/rio.cc",
            "io/windows/rio_transfer.cc",
            "io/windows/target.cc",
            "io/windows/tcp_status.cc",
            "io/windows/windows.cc",
            "io/windows/windows_io.cc",
            "io/windows/winsock.cc"
          ],
          "libraries": ["-lws2_32.lib", "-lmswsock.lib"]
        }]
      ]
    },
    {
      "target_name": "prebuilt",
      "type": "none",
      "dependencies": ["zerio"],
      "copies": [{"files": ["<(PRODUCT_DIR)/zerio.node"], "destination": "<(prebuilt_folder)"}]
    }
  ],
  "conditions": [
    ["OS=='linux' and in_checkout=='true'", {
      "targets": [
        {
          "target_name": "zerio_test",
          "sources": ["../test/native/zerio_test.cc", "../test/native/guarded_posix.cc", "binding/spin_window.cc", "engine/handshake.cc", "engine/sip_hash.cc"],
          "defines": ["NODE_ADDON_API_DISABLE_CPP_EXCEPTIONS", "NODE_ADDON_API_DISABLE_DEPRECATED", "NODE_API_SWALLOW_UNTHROWABLE_EXCEPTIONS"],
          "cflags": ["-isystem", "<!(node -p \"require('path').resolve(require('node-addon-api').include_dir)\")"]
        }
      ]
    }]
  ]
}
