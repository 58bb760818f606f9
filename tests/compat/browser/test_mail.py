"""The letters that `dev` keeps, as a person sees them."""

from harness.supabase import PASSWORD, Supabase, address, link_of


def test_letters_fit_a_telephone_and_their_links_open(server, browser):
    supabase, email = Supabase(server), address()
    flow = {"code_challenge": "v" * 43, "code_challenge_method": "plain"}
    assert supabase.client().post("/signup", json={"email": email, "password": PASSWORD, **flow}).status_code == 200
    link = link_of(supabase.mail(email))
    browser.set_window_size(380, 800)
    browser.get(f"{server.url}/_mail")
    inner, wide = browser.execute_script("return [document.documentElement.clientWidth, document.documentElement.scrollWidth]")
    assert wide <= inner, "nothing stands beyond the edge"
    shown = browser.execute_script("return [...document.querySelectorAll('a')].map((a) => [a.getAttribute('href'), a.textContent])")
    assert [link, link] in shown, "what is broken into lines is one link to whoever copies it"
