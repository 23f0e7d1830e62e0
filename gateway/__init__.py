"""The gateway: Envoy, with its configuration and the OpenAPI document made from the contracts."""
