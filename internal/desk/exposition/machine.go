package exposition

import (
	"strconv"

	"github.com/weirhq/weir/internal/picture"
)

// machineFamilies are of the machine and of processes. Where the facts are not known, none of them is told.
var machineFamilies = []family{
	{name: "weir_node_cpu_busy_ratio", help: "Share of the last second that a processor was busy, 0 to 1.", labels: []string{"cpu"}, each: func(w *walk, f *family) {
		if w.p.Facts == nil {
			return
		}
		for i, v := range w.p.Facts.CPUs {
			w.by(f, nil, "cpu", number(i), v)
		}
	}},
	ofFacts("weir_node_cpu_steal_ratio", "Share of the processors that other virtual machines took, 0 to 1.", func(x *picture.Facts) float64 { return x.Steal }),
	{name: "weir_node_load", help: "Load, averaged over 1, 5 and 15 minutes.", labels: []string{"minutes"}, each: func(w *walk, f *family) {
		if w.p.Facts == nil {
			return
		}
		for i, minutes := range [3]string{"1", "5", "15"} {
			w.by(f, nil, "minutes", minutes, w.p.Facts.Load[i])
		}
	}},
	ofFacts("weir_node_uptime_seconds", "How long the machine is up.", func(x *picture.Facts) float64 { return x.Uptime }),
	ofFacts("weir_node_memory_bytes", "Memory of the machine, or of the control group that weir runs in.", func(x *picture.Facts) float64 { return float64(x.MemTotal) }),
	ofFacts("weir_node_memory_available_bytes", "Memory that can still be had without swapping.", func(x *picture.Facts) float64 { return float64(x.MemFree) }),
	ofFacts("weir_node_swap_bytes", "Swap space.", func(x *picture.Facts) float64 { return float64(x.SwapTotal) }),
	ofFacts("weir_node_swap_used_bytes", "Swap space in use.", func(x *picture.Facts) float64 { return float64(x.SwapUsed) }),
	ofFacts("weir_node_files", "Descriptors open on the machine.", func(x *picture.Facts) float64 { return float64(x.Files) }),
	ofFacts("weir_node_files_limit", "How many there may be.", func(x *picture.Facts) float64 { return float64(x.FilesMax) }),
	ofFacts("weir_node_remarks", "What a person should be told of the machine, in remarks: the status page has their words.", func(x *picture.Facts) float64 { return float64(len(x.Words)) }),
	perDisk("weir_node_disk_bytes", "Size of a file system that weir or its apps use.", func(d *picture.Disk) float64 { return float64(d.Size) }),
	perDisk("weir_node_disk_free_bytes", "Room that is left on it.", func(d *picture.Disk) float64 { return float64(d.Free) }),
	perDisk("weir_node_disk_inodes", "Inodes of the file system; 0: it makes them as they are needed.", func(d *picture.Disk) float64 { return float64(d.Inodes) }),
	perDisk("weir_node_disk_inodes_free", "Inodes that are left.", func(d *picture.Disk) float64 { return float64(d.InodeFree) }),
	perDisk("weir_node_disk_read_bytes_per_second", "Bytes read from its device in the last second.", func(d *picture.Disk) float64 { return d.ReadRate }),
	perDisk("weir_node_disk_written_bytes_per_second", "Bytes written to its device in the last second.", func(d *picture.Disk) float64 { return d.WriteRate }),
	perDisk("weir_node_disk_busy_ratio", "Share of the last second that its device was busy, 0 to 1.", func(d *picture.Disk) float64 { return d.Busy }),
	perNetwork(Counter, "weir_node_network_received_bytes_total", "Bytes that a network interface received.", func(n *picture.Network) float64 { return float64(n.In) }),
	perNetwork(Counter, "weir_node_network_sent_bytes_total", "Bytes that it sent.", func(n *picture.Network) float64 { return float64(n.Out) }),
	perNetwork(Counter, "weir_node_network_errors_total", "Packets that were damaged.", func(n *picture.Network) float64 { return float64(n.Errors) }),
	perNetwork(Counter, "weir_node_network_drops_total", "Packets for which there was no room.", func(n *picture.Network) float64 { return float64(n.Drops) }),
	perProcess("weir_process_cpu_ratio", "Share of a processor that a process of weir (keeper, edge, desk) or a worker uses, with its children: 1 is all of one.", func(p *picture.Process) float64 { return p.CPU }),
	perProcess("weir_process_resident_bytes", "Memory of the process and its children.", func(p *picture.Process) float64 { return float64(p.Memory) }),
	perProcess("weir_process_files", "Descriptors that the process has open.", func(p *picture.Process) float64 { return float64(p.Files) }),
	perProcess("weir_process_files_limit", "How many it may have.", func(p *picture.Process) float64 { return float64(p.FileMax) }),
	perProcess("weir_process_threads", "Threads of the process and its children.", func(p *picture.Process) float64 { return float64(p.Threads) }),
	perProcess("weir_process_start_time_seconds", "When it was started, as Unix time.", func(p *picture.Process) float64 { return float64(p.Since) }),
	perProcess("weir_process_read_bytes_per_second", "Bytes that it and its children read from disks in the last second.", func(p *picture.Process) float64 { return p.Read }),
	perProcess("weir_process_written_bytes_per_second", "Bytes that it and its children wrote to disks in the last second.", func(p *picture.Process) float64 { return p.Written }),
}

func number(i int) string { return strconv.Itoa(i) }
