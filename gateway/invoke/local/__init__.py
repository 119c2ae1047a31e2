"""The local emulated Lambda: real awslambdaric processes behind a Runtime API of our own.

The surface for the composition root: `function.LocalFunction`, `spec.FunctionSpec`,
`invoke_api.InvokeApi`, `handler_check.check_handler`.
"""
