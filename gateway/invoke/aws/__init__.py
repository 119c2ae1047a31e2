"""Functions on AWS, called by the Invoke API.

The surface for the composition root: `function.AwsFunction`, `account.Account`,
`http.HttpClient`.
"""
