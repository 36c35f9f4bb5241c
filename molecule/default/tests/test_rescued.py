def test_x(host):
    assert host.run("true").rc == 0
