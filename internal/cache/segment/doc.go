// Package segment is the cache's tier on disk: objects in append-only files, found by an index in memory, checked by
// checksums whenever they are read. It knows nothing of HTTP, of freshness, or of purges; what is on disk is never
// needed, so whatever is doubtful is dropped, and whatever the disk refuses is done without.
//
// # On disk
//
// The directory holds segments (NUMBER.seg), for each that is full the list of what is in it (NUMBER.idx), and large
// bodies (NUMBER.body). A segment is records, one behind the other: a header with its own checksum, the object's head,
// a table with a checksum for every 64 KiB of the body, the body. A large body has a file of its own, and its record in
// the segment says where; a new head for it costs a record, not the body.
//
// The last record of a key counts. Records are only ever appended, in one place, so the order of the log is the order of
// time. At the start the lists are read, and the headers of what no list covers. What is torn, flipped or of another
// version is stepped over, to the next header that is whole.
//
//	.seg:  header │ head │ table │ body │ header │ head │ table │ body │ …
//
// # Size
//
// Segments are deleted oldest first, with the large bodies that they name. What was asked for since it was written goes
// to the end of the log instead, in bounded quantity. So a disk of any size costs one sequential stream of writing and no
// search for room, and an object's age on disk is bounded by what is written, not by luck.
//
// # In memory
//
// An object costs an entry of 24 bytes in tables that are at most seven eighths full, without pointers. How many there
// may be is bounded.
//
// # Failure
//
// A disk that is full or fails stops being written to, is tried again after a while, and goes on being read as far as it
// can be. A directory that is replaced or gone ends the Disk; its owner opens another when there is one.
package segment
