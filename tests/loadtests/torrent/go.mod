module torrent

go 1.22
