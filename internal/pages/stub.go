package pages

func WantsJSON([]byte) bool                                       { return false }
func AppendJSON(d []byte, s int, detail string, id []byte) []byte { return d }
func AppendHTML(d []byte, s int, detail string, id []byte) []byte { return d }
func AppendOwn(d []byte, own []byte, s int, id []byte) []byte     { return d }
