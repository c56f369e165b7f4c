package main

import (
	"net/url"

	"google.golang.org/adk/v2/tool"

	"github.com/jitagent/jitagent/tools"
)

// toolkit lists the analyst's tools. A new tool is one file in package tools and
// one entry here; analyst new-tool writes both.
func toolkit(api *url.URL, opts tools.Options) ([]tool.Tool, error) {
	builders := []func(*url.URL, tools.Options) (tool.Tool, error){
		tools.FetchDocument,
		tools.CreateReport,
		// analyst new-tool adds its entry above this line.
	}
	if opts.Search {
		builders = append(builders, tools.SearchDocuments)
	}
	var kit []tool.Tool
	for _, build := range builders {
		t, err := build(api, opts)
		if err != nil {
			return nil, err
		}
		kit = append(kit, t)
	}
	return kit, nil
}
