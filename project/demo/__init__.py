"""`make demo`: a whole site on this machine, people who sign up, and what becomes of each.

__main__    the story, from an empty folder to the verdict
cast        who signs up, and how each must end
stack       the site, its worker, its beat and the simulated KohortPay, as processes
processes   starts them, watches them, and ends them
tied        what each of them begins as
visitor     one person's browser: signs up over the site's own form
service     what KohortPay itself says
standings   what the site's own tables say
verdict     compares the two with how each must end
screen      shows it while it happens
"""
