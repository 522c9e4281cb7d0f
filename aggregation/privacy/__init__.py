"""What happens to one wallet's update before it is masked: clip, quantise, add noise. Django-free, shared with the agent."""
