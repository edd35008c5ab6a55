package keeper

// soReuseport is SO_REUSEPORT, which package syscall leaves out on Linux (asm-generic/socket.h; not MIPS, SPARC or PA-RISC).
const soReuseport = 0xf
