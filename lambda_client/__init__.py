"""lambda_client."""
