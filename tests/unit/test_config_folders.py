"""One's own configuration goes before the project's, file by file."""

from seedbed.config.folders import PROJECT, ConfigFolders


def test_the_first_folder_that_has_a_file_provides_it(tmp_path):
    for name in ("own/studies/a.yaml", "shared/studies/a.yaml", "shared/studies/b.yaml"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    folders = ConfigFolders.of([tmp_path / "own", tmp_path / "shared"])
    found = [tmp_path / "own/studies/a.yaml", tmp_path / "shared/studies/b.yaml"]
    assert folders.glob("studies/*.yaml") == found
    assert [folders.find(f"studies/{name}.yaml") for name in "ab"] == found
    # What is nowhere would be one's own.
    assert folders.find("studies/c.yaml") == tmp_path / "own/studies/c.yaml"


def test_files_have_the_same_names_wherever_the_folders_lie(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    folders = ConfigFolders.of_run()
    file = folders.find("studies/micro.yaml")
    assert file == PROJECT / "config/studies/micro.yaml"
    assert folders.name(str(file)) == "config/studies/micro.yaml"
    assert folders.locate("config/studies/micro.yaml") == file
    assert folders.name("results/a") == "results/a"
    assert str(folders.locate("results/a")) == "results/a"


def test_a_run_in_the_project_has_one_folder(monkeypatch):
    monkeypatch.chdir(PROJECT)
    assert [*map(str, ConfigFolders.of_run().folders)] == ["config"]
