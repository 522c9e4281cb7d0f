"""The main job as one command: people's data, the cast, the stage, the story, the evidence, the report."""
