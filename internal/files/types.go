package files

import "strings"

// Content types by extension: weir's own list, since the machine's would make two nodes answer differently.
var types = map[string]string{
	"html": "text/html", "htm": "text/html", "xhtml": "application/xhtml+xml", "css": "text/css", "js": "text/javascript", "mjs": "text/javascript",
	"json": "application/json", "map": "application/json", "jsonld": "application/ld+json", "geojson": "application/geo+json",
	"webmanifest": "application/manifest+json", "wasm": "application/wasm",
	"txt": "text/plain", "text": "text/plain", "log": "text/plain", "md": "text/markdown", "csv": "text/csv", "tsv": "text/tab-separated-values",
	"vtt": "text/vtt", "ics": "text/calendar", "vcf": "text/vcard", "yaml": "application/yaml", "yml": "application/yaml",
	"xml": "application/xml", "xsl": "application/xslt+xml", "rss": "application/rss+xml", "atom": "application/atom+xml", "kml": "application/vnd.google-earth.kml+xml",
	"svg": "image/svg+xml", "png": "image/png", "apng": "image/apng", "jpg": "image/jpeg", "jpeg": "image/jpeg", "gif": "image/gif", "webp": "image/webp",
	"avif": "image/avif", "heic": "image/heic", "jxl": "image/jxl", "ico": "image/vnd.microsoft.icon", "bmp": "image/bmp", "tif": "image/tiff", "tiff": "image/tiff",
	"woff": "font/woff", "woff2": "font/woff2", "ttf": "font/ttf", "otf": "font/otf", "eot": "application/vnd.ms-fontobject",
	"mp4": "video/mp4", "m4v": "video/mp4", "webm": "video/webm", "ogv": "video/ogg", "mov": "video/quicktime", "avi": "video/x-msvideo", "mkv": "video/matroska",
	"m3u8": "application/vnd.apple.mpegurl", "mpd": "application/dash+xml",
	"mp3": "audio/mpeg", "m4a": "audio/mp4", "aac": "audio/aac", "ogg": "audio/ogg", "oga": "audio/ogg", "opus": "audio/ogg", "flac": "audio/flac", "wav": "audio/wav",
	"mid": "audio/midi", "midi": "audio/midi", "weba": "audio/webm",
	"pdf": "application/pdf", "epub": "application/epub+zip", "rtf": "application/rtf",
	"doc": "application/msword", "xls": "application/vnd.ms-excel", "ppt": "application/vnd.ms-powerpoint",
	"docx": "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
	"xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
	"pptx": "application/vnd.openxmlformats-officedocument.presentationml.presentation",
	"odt":  "application/vnd.oasis.opendocument.text", "ods": "application/vnd.oasis.opendocument.spreadsheet", "odp": "application/vnd.oasis.opendocument.presentation",
	"zip": "application/zip", "gz": "application/gzip", "tgz": "application/gzip", "zst": "application/zstd", "br": "application/octet-stream",
	"bz2": "application/x-bzip2", "xz": "application/x-xz", "tar": "application/x-tar", "7z": "application/x-7z-compressed", "jar": "application/java-archive",
	"apk": "application/vnd.android.package-archive", "iso": "application/octet-stream", "bin": "application/octet-stream", "torrent": "application/x-bittorrent",
}

// Packed beyond these is not worth looking for a neighbour, which costs a look at the disk each.
var packable = map[string]bool{
	"application/wasm": true, "application/yaml": true, "application/rtf": true, "application/x-tar": true,
	"image/vnd.microsoft.icon": true, "image/bmp": true, "image/tiff": true, "font/ttf": true, "font/otf": true,
	"application/vnd.ms-fontobject": true, "application/vnd.apple.mpegurl": true, "application/octet-stream": true,
}

// typeOf returns the Content-Type of a file by its name.
func typeOf(name string) string {
	i := strings.LastIndexAny(name, "./")
	if i < 0 || name[i] == '/' {
		return "application/octet-stream"
	}
	t := types[strings.ToLower(name[i+1:])]
	switch {
	case t == "":
		return "application/octet-stream"
	case strings.HasPrefix(t, "text/"):
		return t + "; charset=utf-8"
	}
	return t
}

func compressible(t string) bool {
	return strings.HasPrefix(t, "text/") || strings.HasSuffix(t, "json") || strings.HasSuffix(t, "xml") || packable[t]
}
