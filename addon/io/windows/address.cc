// Address on Windows. libuv has called WSAStartup before any addon is loaded.
#include <winsock2.h>
#include <ws2tcpip.h>

#include "../address_bsd.h"
