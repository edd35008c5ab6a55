package edge

func (h *handler) respondFile() {}
