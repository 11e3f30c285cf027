"""The verbs of `pullet`, one file each: loaded when the verb is called, and what is heavy only when it runs."""
