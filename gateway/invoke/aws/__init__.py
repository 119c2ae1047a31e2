"""Functions on AWS, called by the Invoke API.

The surface for the composition root: `function.AwsFunction`, `address.FunctionAddress`,
`account.Account`, `http.open_session`.
"""
