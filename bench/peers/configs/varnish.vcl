# {Listen}
vcl 4.1;

backend origin {
	.host = "{OriginHost}";
	.port = "{OriginPort}";
}

sub vcl_recv {
	set req.http.X-Forwarded-Proto = "http";
	set req.http.X-Forwarded-Host = req.http.Host;
}
