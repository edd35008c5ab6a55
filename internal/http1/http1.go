// Package http1 is HTTP/1.1 on the wire: bytes to messages and back, after RFC 9112 and RFC 9110, strict for both
// sides. It reads heads in place without allocation, finds the end of bodies, and writes start lines, field lines and
// chunks. It does no I/O, holds no connection and has no policy: what is legal and unambiguous passes, what two
// programs could read in two ways is refused, whoever sent it.
//
// Every rule here that is stricter than the RFC is listed with its reason in docs/adr/0003-strict-http1.md.
package http1

// Limits bound a head (and a trailer section). All are inclusive and must be positive.
type Limits struct {
	Line   int // bytes of the request line without its CRLF
	Fields int // field lines of a head or trailer section
	Head   int // bytes of a whole head with its blank line, or of a trailer section
}

// Error says why a message is refused. The values are made once and shared: never written to, and fit for comparison
// by pointer.
type Error struct {
	Status int    // what the client gets: 4xx or 5xx for a request, 502 for a response
	Reason string // one constant phrase for the log and the page
}

// Error implements error.
func (e *Error) Error() string { return e.Reason }

// A fault is a rule that was broken, without the side it was broken on.
type fault uint8

const (
	none fault = iota
	more       // not a fault: the bytes end before the message does
	bareLF
	bareCR
	emptyLines
	badRequestLine
	longMethod
	methodCase
	connect
	lineTooLong
	badTargetByte
	badTarget
	badScheme
	badPercent
	badPathByte
	aboveRoot
	asteriskMethod
	badVersion
	otherVersion
	headTooLarge
	tooManyFields
	spaceBeforeField
	obsFold
	emptyName
	badName
	noColon
	spaceBeforeColon
	disguisedName
	badValue
	noHost
	manyHosts
	badHost
	hostDiffers
	lengthAndCoding
	manyLengths
	badLength
	paddedLength
	lengthOverflow
	manyCodings
	badCoding
	unknownCoding
	codingInOld
	traceBody
	badExpect
	manyTypes
	badConnection
	connectionNames
	badStatusLine
	badStatus
	badReason
	badChunkSize
	chunkSizeOverflow
	badChunkExt
	chunkExtTooLong
	badChunkEnd
	badTrailer
	trailerTooLarge
	bodyCut
	numFaults
)

// What a fault is called, and what a request with it is answered. A response with any of them is a 502.
var faults = [numFaults]Error{
	bareLF:            {400, "a line ends without CR"},
	bareCR:            {400, "a CR without LF"},
	emptyLines:        {400, "too many empty lines before the request"},
	badRequestLine:    {400, "malformed request line"},
	longMethod:        {400, "method too long"},
	methodCase:        {501, "method not in upper case"},
	connect:           {501, "CONNECT is not served"},
	lineTooLong:       {414, "request line too long"},
	badTargetByte:     {400, "forbidden byte in the request target"},
	badTarget:         {400, "malformed request target"},
	badScheme:         {400, "request target with a scheme other than http and https"},
	badPercent:        {400, "malformed percent-encoding in the path"},
	badPathByte:       {400, "forbidden byte in the path"},
	aboveRoot:         {400, "path climbs above the root"},
	asteriskMethod:    {400, "asterisk target for a method other than OPTIONS"},
	badVersion:        {400, "malformed HTTP version"},
	otherVersion:      {505, "HTTP version not supported"},
	headTooLarge:      {431, "header section too large"},
	tooManyFields:     {431, "too many fields"},
	spaceBeforeField:  {400, "white space before the first field"},
	obsFold:           {400, "folded field line"},
	emptyName:         {400, "empty field name"},
	badName:           {400, "forbidden byte in a field name"},
	noColon:           {400, "field line without a colon"},
	spaceBeforeColon:  {400, "white space between a field name and its colon"},
	disguisedName:     {400, "field name that may be taken for another one"},
	badValue:          {400, "control character in a field value"},
	noHost:            {400, "missing Host"},
	manyHosts:         {400, "more than one Host"},
	badHost:           {400, "malformed host"},
	hostDiffers:       {400, "Host differs from the request target"},
	lengthAndCoding:   {400, "both Transfer-Encoding and Content-Length"},
	manyLengths:       {400, "more than one Content-Length"},
	badLength:         {400, "malformed Content-Length"},
	paddedLength:      {400, "Content-Length with leading zeros"},
	lengthOverflow:    {400, "Content-Length too large"},
	manyCodings:       {400, "more than one Transfer-Encoding"},
	badCoding:         {400, "malformed Transfer-Encoding"},
	unknownCoding:     {501, "transfer coding not supported"},
	codingInOld:       {400, "Transfer-Encoding in HTTP/1.0"},
	traceBody:         {400, "TRACE with content"},
	badExpect:         {417, "expectation not supported"},
	manyTypes:         {400, "more than one Content-Type"},
	badConnection:     {400, "malformed Connection"},
	connectionNames:   {400, "Connection names a field meant for every recipient"},
	badStatusLine:     {400, "malformed status line"},
	badStatus:         {400, "status out of range"},
	badReason:         {400, "control character in the reason phrase"},
	badChunkSize:      {400, "malformed chunk size"},
	chunkSizeOverflow: {400, "chunk size too large"},
	badChunkExt:       {400, "malformed chunk extension"},
	chunkExtTooLong:   {400, "chunk extensions too long"},
	badChunkEnd:       {400, "chunk data does not end with CRLF"},
	badTrailer:        {400, "malformed trailer section"},
	trailerTooLarge:   {431, "trailer section too large"},
	bodyCut:           {400, "body cut short"},
}

var responseFaults = func() (t [numFaults]Error) {
	for f := range faults {
		t[f] = Error{502, faults[f].Reason}
	}
	return t
}()

func (f fault) ofRequest() *Error {
	if f <= more {
		return nil
	}
	return &faults[f]
}

func (f fault) ofResponse() *Error {
	if f <= more {
		return nil
	}
	return &responseFaults[f]
}
