// Package compress decides which responses are sent compressed and in which coding (RFC 9110, section 8.4), and does
// it: zstd, br and gzip, streamed, by encoders of bounded memory that a loop owns and lends. It also decodes gzip from a
// server, bounded, for those who must look inside a body.
//
// It knows nothing of connections, caches and files: the edge asks package representation what a client takes, Policy what may be
// compressed, and drives an Encoder from Pool.
//
// # Time
//
// Work is done in blocks: gzip and zstd gather 64 KiB, br 32 KiB, before they compress. On HTML and source text one core
// does about 150 MB/s with gzip, 250 with zstd, 55 with br, so a block takes 0.3 to 0.6 ms. A call of Write with at most
// MaxWrite bytes completes at most one block, so that a loop can run it inline; the time is the block's, though, not
// that of the bytes given. Whoever has more at hand calls again, and lets the loop turn in between, or does it through
// the loop's Do.
//
// # Memory
//
// An encoder holds 0.6 (br) to 0.95 MiB (gzip 0.9, zstd 0.95), tables mostly, however small the response: MemoryEach. So a loop
// has a bound of them, Pool, and what is above it goes out plain.
//
// # Secrets in compressed pages (BREACH)
//
// Whoever can make a victim's browser fetch a page that mirrors a chosen text beside a secret, and can see the
// ciphertext's length, learns the secret from how well it compresses. Compressing nothing dynamic would close that for
// good, and cost every dynamic page two thirds of its speed on slow lines; frameworks mask their CSRF tokens against it
// for years. So weir compresses dynamic pages too, except in the situation that the attack needs: a request that carries
// credentials and that another site caused, as the browser says itself (Sec-Fetch-Site: cross-site). See Exposed.
// What is in the shared cache is the same for everyone, so there is nothing in it to learn.
package compress
