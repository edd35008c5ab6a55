package cli

import (
	"errors"

	"github.com/spf13/cobra"
	"github.com/weirhq/weir/internal/config"
)

func schemaCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "schema",
		Short: "Print the JSON schema of the configuration, for editors",
		Long: "Print the JSON schema (draft 2020-12) of the configuration that this weir takes. Editors that know YAML complete\n" +
			"and check by it: put a line like this at the beginning of the file.\n\n" +
			"  # yaml-language-server: $schema=weir.schema.json",
		Example: "  weir schema > weir.schema.json",
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) > 0 {
				return errors.New("weir schema takes no argument")
			}
			return nil
		},
		SilenceUsage: true,
		RunE: func(c *cobra.Command, _ []string) error {
			schema, err := config.Schema()
			if err != nil {
				return err
			}
			_, err = c.OutOrStdout().Write(schema)
			return err
		},
	}
}
