module json_oracle

go 1.22
